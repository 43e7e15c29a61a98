"""What every engine keeps to, kept by the local one where systemd gives each job a unit."""

import io
import tarfile

from vm import wheels
from vm.steps import NOTES, step

_THERE = "/root/checkout"
_SUITES = ("tests/contract/test_engine.py", "tests/contract/test_engine_units.py")
_LEFT_OUT = ("tests/vm", "tests/fixtures", "tests/golden")


def test_the_engines_contract_holds_in_the_machine(machine):
    """Before the service is there: the suite has units of the same names."""
    machine.put("/root/tests.tar", _tests())
    machine.check("mkdir", "--parents", _THERE)
    machine.check("tar", "--extract", "--file=/root/tests.tar", f"--directory={_THERE}")
    command = ("/opt/dcdaemon/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *_SUITES)
    with step("the engine's contract in the machine"):
        done = machine.run("env", f"--chdir={_THERE}", *command, within_s=1200)
    assert done.rc == 0, done.out
    NOTES.append(f"in the machine, {' '.join(_SUITES)}: {done.out.splitlines()[-1]}")


def _tests() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(wheels.REPOSITORY / "pyproject.toml", "pyproject.toml")
        archive.add(wheels.REPOSITORY / "tests", "tests", filter=_wanted)
    return packed.getvalue()


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    left_out = entry.name in _LEFT_OUT or "__pycache__" in entry.name
    return None if left_out else entry
