"""Reads field values as a caller has to: each by its own type and its own return code."""

import pynvml

_MEMBERS = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
ALL_LINKS = 0xFFFFFFFF


def values(handle: object, *fields: int | tuple[int, int]) -> list[float | str]:
    """Return the value of each field, or in words why there is none."""
    return [
        str(pynvml.NVMLError(one.nvmlReturn)) if one.nvmlReturn else getattr(one.value, _MEMBERS[one.valueType])
        for one in pynvml.nvmlDeviceGetFieldValues(handle, list(fields))
    ]
