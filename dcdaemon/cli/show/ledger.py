"""Energy and anomalies as tables."""

from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import UNKNOWN, ago, energy, gpu_hours
from dcdaemon.client.answer import Document

_SEVERITY_STYLE = {"critical": "red", "error": "red", "warning": "yellow"}


def energy_page(document: Document) -> Page:
    """Return the page of `dcd energy`: one row a user, job, GPU or day, idle among them, and the total."""
    currency, rows = document["currency"], document["rows"]
    told = [*rows, document["total"]]
    columns = (
        Column(document["by"].upper(), lambda row: str(row["key"]), whole=True),
        Column("ENERGY", lambda row: energy(row["energy_j"]), right=True, whole=True),
        Column("GPU-H", lambda row: gpu_hours(row["gpu_s"]), right=True, whole=True),
        Column(
            "COST",
            lambda row: _amount(row["cost"], currency),
            right=True,
            whole=True,
            wide=all(row["cost"] is None for row in told),
        ),
        Column(
            "CARBON",
            lambda row: _carbon(row["carbon_g"]),
            right=True,
            whole=True,
            wide=all(row["carbon_g"] is None for row in told),
        ),
    )
    total = {**document["total"], "key": "total"} if rows else None
    talk = "" if rows else "no energy has been booked in this time"
    used_first = sorted(rows, key=lambda row: bool(row["key"] == "idle"))
    return Page(document, rows, columns, id_key="key", last_row=total, talk=talk, folded=used_first)


def anomalies_page(document: Document) -> Page:
    """Return the page of `dcd anomalies`."""
    found = document["anomalies"]
    still = sum(odd["cleared_at"] is None for odd in found)
    found_so_many = f"{len(found)} {'anomaly' if len(found) == 1 else 'anomalies'}"
    talk = f"{found_so_many}, {still} open · dcd anomalies --ack ID" if found else "nothing looked wrong"
    return Page(document, found, ANOMALIES, talk=talk)


def _amount(cost: float | None, currency: str) -> str:
    return UNKNOWN if cost is None else f"{cost:.2f} {currency}"


def _carbon(carbon_g: float | None) -> str:
    if carbon_g is None:
        return UNKNOWN
    return f"{carbon_g:.0f} g" if carbon_g < 1000 else f"{carbon_g / 1000:.1f} kg"


def _cleared(odd: Document) -> str:
    if odd["cleared_at"] is not None:
        return f"cleared {ago(odd['cleared_at'])}"
    return f"open, seen by {odd['acked_by']}" if odd["acked_by"] else "open"


ANOMALIES = (
    Column("ID", lambda odd: str(odd["id"]), right=True, whole=True),
    Column("RULE", lambda odd: str(odd["rule"]), whole=True),
    Column(
        "SEVERITY",
        lambda odd: str(odd["severity"]),
        whole=True,
        style=lambda odd: _SEVERITY_STYLE.get(odd["severity"], ""),
    ),
    Column("RAISED", lambda odd: ago(odd["raised_at"]), whole=True),
    Column("STATE", _cleared),
    # The message names it, too, and has to have the room.
    Column("SUBJECT", lambda odd: str(odd["subject"]), wide=True),
    Column("MESSAGE", lambda odd: str(odd["message"])),
)
