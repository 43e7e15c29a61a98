"""Mask what looks like a secret in anything that is shown."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

MASK = "***"
_SECRET_NAME = re.compile(r"token|secret|passw|api[-_]?key|credential|private[-_]?key", re.IGNORECASE)


def mask_argv(argv: Sequence[str]) -> list[str]:
    """Return a command line with the values of secret-looking options and assignments masked."""
    masked: list[str] = []
    hide_next = False
    for argument in argv:
        name, equals, value = argument.partition("=")
        if hide_next and not argument.startswith("-"):
            masked.append(MASK)
        elif equals and value and _SECRET_NAME.search(name) and re.fullmatch(r"-{0,2}[\w-]+", name):
            masked.append(f"{name}={MASK}")
        else:
            masked.append(mask_url(argument) if "://" in argument else argument)
        hide_next = argument.startswith("-") and not equals and bool(_SECRET_NAME.search(argument))
    return masked


def mask_url(url: str) -> str:
    """Return a URL with its password masked."""
    try:
        parts = urlsplit(url)
        if not parts.password:
            return url
    except ValueError:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{MASK}@{host}"))
