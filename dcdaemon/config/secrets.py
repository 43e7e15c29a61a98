"""Keeps passwords out of what is printed."""

from typing import Any

from dcdaemon.core.secrecy import MASK, mask_text

__all__ = ["MASK", "masked"]


def masked(value: Any) -> Any:
    """Return the value with passwords in URLs replaced."""
    if not isinstance(value, str):
        return value
    return mask_text(value)
