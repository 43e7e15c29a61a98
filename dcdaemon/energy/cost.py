"""Turns millijoules into kilowatt-hours, money and carbon; unknown stays unknown."""

from dcdaemon.core.units import MILLIJOULES_PER_KWH


def kwh(energy_mj: int) -> float:
    """Return kilowatt-hours."""
    return energy_mj / MILLIJOULES_PER_KWH


def cost(energy_mj: int, price_per_kwh: float | None) -> float | None:
    """Return the price in the currency of the tariff; None when no tariff is set."""
    return None if price_per_kwh is None else kwh(energy_mj) * price_per_kwh


def carbon_g(energy_mj: int, g_per_kwh: float | None) -> float | None:
    """Return grams of CO2-equivalent; None when the grid's intensity is not set."""
    return None if g_per_kwh is None else kwh(energy_mj) * g_per_kwh
