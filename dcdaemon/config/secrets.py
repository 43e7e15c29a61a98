"""Keeps passwords out of what is printed."""

import re
from typing import Any

#: What stands where a password was.
MASK = "***"
_USER_INFO = re.compile(r"(://[^:/@\s]*):[^/\s]*@")
_PARAMETER = re.compile(r"((?:password|passwd|pwd|token|secret)=)[^&\s]*", re.IGNORECASE)


def masked(value: Any) -> Any:
    """Return the value with passwords in URLs replaced."""
    if not isinstance(value, str):
        return value
    return _PARAMETER.sub(rf"\g<1>{MASK}", _USER_INFO.sub(rf"\g<1>:{MASK}@", value))
