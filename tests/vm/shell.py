"""A machine to try things in: `.venv/bin/python -m vm.shell COMMAND...` in tests/, or without a command a prompt."""

import shlex
import sys
import tempfile
from pathlib import Path

from vm import image
from vm.machine import Machine
from vm.steps import TAKEN_S


def main() -> None:
    """Boot, run each argument as a command line of root's shell, then what is typed; `ada$ ...` runs as ada."""
    image.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=image.CACHE, prefix="try-") as folder:
        machine = Machine(image.make(Path(folder)), Path(folder))
        try:
            machine.boot()
            sys.stdout.write("".join(f"{name}: {taken_s:.1f} s\n" for name, taken_s in TAKEN_S))
            for line in sys.argv[1:] or sys.stdin:
                _run(machine, line.strip())
        finally:
            machine.close()


def _run(machine: Machine, line: str) -> None:
    user, _, command = line.rpartition("$ ")
    if command in {"power_cut", "shut_down", "boot", "reboot"}:
        sys.stdout.write(f"{command}: {getattr(machine, command)()}\n")
        return
    outcome = machine.run("/bin/bash", "-c", command, user=user or "root")
    sys.stdout.write(f"{user or 'root'}$ {shlex.join([command])} -> {outcome.rc}\n{outcome.out}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
