"""dcd-bmc: asks the board's management controller as root, and leaves what it says in a file that everyone may read.

Started by dcdaemon-bmc.timer; needs nothing but Python and ipmitool, and writes nothing but its one file.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dcdaemon.telemetry.sensors import write

OUT = Path("/run/dcdaemon-sensors/bmc.json")
_TIMEOUT_S = 20.0
_POWER = re.compile(r"^\s*Instantaneous power reading\s*:\s*(\d+)\s+Watts", re.MULTILINE)
_STATE = re.compile(r"^\s*Power reading state is\s*:\s*(\w+)", re.MULTILINE)
_DEGREES = re.compile(r"(-?\d+(?:\.\d+)?) degrees C")
#: IPMI's and DCMI's numbers for the place where air comes in; makers that use neither name it.
_INLET_ENTITIES = ("55.", "64.")
#: The air of a power supply is not that of the node.
_POWER_SUPPLY = "10."
_INLET_NAMES = re.compile(r"inlet|intake|ambient|front panel|fnt pnl", re.IGNORECASE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask once, write the file, and return 0; 1 when it cannot be written."""
    parser = argparse.ArgumentParser(prog="dcd-bmc", description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT, help="where to write what was read (default: %(default)s)")
    parser.add_argument("--ipmitool", default="ipmitool", help="the program to ask with")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, metavar="SECONDS", help="for one question")
    options = parser.parse_args(arguments)
    try:
        write(options.out, read_bmc(options.ipmitool, options.timeout))
    except OSError as error:
        print(f"error: {options.out} cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201  a program
        return 1
    return 0


def read_bmc(ipmitool: str, timeout_s: float) -> dict[str, Any]:
    """Return power and inlet temperature, and why one of them is not known."""
    power, power_problem = _ask([ipmitool, "dcmi", "power", "reading"], timeout_s)
    temperatures, temperature_problem = _ask([ipmitool, "sdr", "type", "temperature"], timeout_s)
    power_w, inlet_c = parse_power(power), parse_inlet(temperatures)
    return {
        "schema": 1, "at": time.time(), "power_w": power_w, "inlet_c": inlet_c,
        "power_problem": None if power_w is not None else power_problem or "the BMC measures no power",
        "inlet_problem": None if inlet_c is not None else temperature_problem or "the BMC names no inlet temperature",
    }  # fmt: skip


def parse_power(text: str) -> float | None:
    """Read what `ipmitool dcmi power reading` prints; None while the BMC does not measure: many then say 0 Watts."""
    power, state = _POWER.search(text), _STATE.search(text)
    if power is None or (state is not None and state[1] != "activated"):
        return None
    return float(power[1]) or None


def parse_inlet(text: str) -> float | None:
    """Read the air that comes in from the table of `ipmitool sdr type temperature`: name, id, state, place, value."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    well = [(row[0], row[3], degrees) for row in rows if len(row) == 5 and (degrees := _DEGREES.fullmatch(row[4]))]
    placed = [degrees for _, entity, degrees in well if entity.startswith(_INLET_ENTITIES)]
    named = [
        degrees for name, entity, degrees in well
        if _INLET_NAMES.search(name) and not entity.startswith(_POWER_SUPPLY)
    ]  # fmt: skip
    found = [*placed, *named]
    return float(found[0][1]) if found else None


def _ask(command: list[str], timeout_s: float) -> tuple[str, str | None]:
    """Return what a command prints, and what went wrong."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return "", f"ipmitool got no answer within {timeout_s:g} s"
    except OSError as error:
        return "", f"{command[0]} cannot be run: {error.strerror}"
    said = done.stderr.decode("ascii", "replace").strip().splitlines()
    return done.stdout.decode("ascii", "replace"), said[-1].strip() if done.returncode and said else None


if __name__ == "__main__":
    sys.exit(main())
