"""A daemon and its shims whose wall clock a test sets, while time goes on: libfaketime, the offset read from a file."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lack import missing
from system.daemon_process import Site, until

#: Shims get a bare environment; here they are to live in the same time as their daemon.
PROGRAM = """
import os, sys
from dcdaemon.runner import spawner
spawner._bare_environment = lambda: {key: value for key, value in os.environ.items() if key in sys.argv[1].split(",")}
from dcdaemon.cli.main import run
sys.exit(run(["daemon", "run", "--simulate-gpus", "8"]))
"""


def library() -> Path:
    """Return the library; without it skip, or fail where CI=true."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if found is None:
        missing("no libfaketime: apt-get install faketime")
    return found


class FakedClock:
    """The wall clock of one site's daemon."""

    def __init__(self, site: Site) -> None:
        self.site, self._offset = site, site.path / "offset"
        self.set_s(0)
        faked = {
            "LD_PRELOAD": str(library()), "FAKETIME_TIMESTAMP_FILE": str(self._offset), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, ",".join(faked)], env={**site.env, **faked}, cwd="/",
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(site.answers, "the daemon's first answer")

    def set_s(self, offset_s: int) -> None:
        """Set the clock so many seconds ahead of the true time, or behind it."""
        draft = self._offset.with_suffix(".new")
        draft.write_text(f"{offset_s:+d}\n")
        draft.replace(self._offset)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def clock(new_site) -> Iterator[FakedClock]:
    clock = FakedClock(new_site())
    yield clock
    clock.close()
