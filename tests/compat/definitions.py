"""The table of README.md: what the other tools do not read, by its definition and one case worked out by hand."""

import re
from pathlib import Path
from typing import NamedTuple

#: What gpustat, nvitop or nvitop-exporter read as well.
READ_BY_PEERS = {
    "util_ratio", "mem_bw_busy_ratio", "mem_used_bytes", "mem_total_bytes", "mem_reserved_bytes", "mem_free_bytes",
    "power_w", "power_limit_w", "temp_c", "sm_clock_hz", "mem_clock_hz", "sm_clock_max_hz", "mem_clock_max_hz",
    "ecc_uncorrected_volatile", "nvlink_links",
}  # fmt: skip
_ROW = re.compile(r"\| (\w+) \| `([\w.]+)` \| (\d+) \| (.+?) \| `(.+?)` \| (.+?) \| ([\d.]+) \| (\w+) \|")


class Definition(NamedTuple):
    """One value of ours, and how it follows from what the driver says."""

    attribute: str
    #: The constant, function or member of nvml.h, its line, and the unit of what it says.
    nvml: str
    line: int
    unit: str
    #: What the fake driver is told to say.
    says: dict[str, object]
    value: float
    #: The profile of a board that has it.
    board: str


def definitions() -> list[Definition]:
    """Read the table."""
    lines = Path(__file__).with_name("README.md").read_text().splitlines()
    return [_definition(*row.groups()) for line in lines if (row := _ROW.fullmatch(line))]


def _definition(
    attribute: str, nvml: str, line: str, unit: str, says: str, _worked: str, value: str, board: str
) -> Definition:
    told: dict[str, object] = dict(part.split("=", 1) for part in says.split("; "))
    return Definition(attribute, nvml, int(line), unit, told, float(value), board)
