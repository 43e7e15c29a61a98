"""dcd-power: sets the configured power limits of the GPUs, and puts back the ones it found.

Started by dcdaemon-power.service, as root with CAP_SYS_ADMIN alone.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dcdaemon.config.load import load
from dcdaemon.core.errors import DcdError
from dcdaemon.telemetry.nvml_errors import NoDriver
from dcdaemon.telemetry.power_limits import Boards, restore_limits, set_limits

FOUND = Path("/run/dcdaemon-power/limits.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Set or restore, say what was done, and return 0; 1 when the driver, 2 when the configuration is in the way."""
    parser = argparse.ArgumentParser(prog="dcd-power", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("set", "restore"))
    parser.add_argument("--config", type=Path, metavar="FILE", help="read this file instead of the usual ones")
    parser.add_argument("--found", type=Path, default=FOUND, metavar="FILE", help="where the limits of before are kept")
    options = parser.parse_args(arguments)
    try:
        lines = _act(options.action, options.config, options.found)
    except DcdError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)  # noqa: T201  a program
        return error.exit_code
    except (NoDriver, OSError) as error:
        print(f"error: power limits are as they were: {error}", file=sys.stderr)  # noqa: T201  as above
        return 1
    print("\n".join(lines) or "all limits are as they should be")  # noqa: T201  as above
    return 0


def _act(action: str, config: Path | None, found: Path) -> list[str]:
    if action == "restore":
        # Without limits to put back the driver need not even be there.
        return _restored(found) if found.exists() else []
    wanted = dict(load(None if config is None else [config]).config.gpus.power_limit_w)
    if not wanted and not found.exists():
        return ["gpus.power_limit_w is not set: there is nothing to do"]
    with Boards() as boards:
        return set_limits(boards, wanted, found)


def _restored(found: Path) -> list[str]:
    with Boards() as boards:
        return restore_limits(boards, found)


if __name__ == "__main__":
    sys.exit(main())
