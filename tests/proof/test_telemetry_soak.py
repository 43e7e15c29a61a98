"""A hundred thousand polls with faults coming and going: memory and descriptors stay where they were."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_nvml import soak_source
from fake_nvml.fake_driver import FakeDriver, build
from patience import until

pytestmark = pytest.mark.proof
REPOSITORY = Path(__file__).parents[2]
GPUS = 4
POLLS = 100_000
WARM_POLLS = 25_000
REPLACEMENTS = 60
WARM_REPLACEMENTS = 10
GROWTH_KIB = 1024

Act = Callable[[int], object]


class Reader:
    """A process that reads GPUs as the daemon does, and what it tells of itself."""

    def __init__(self, folder: Path) -> None:
        self._status = folder / "status"
        command = [sys.executable, soak_source.__file__, str(self._status)]
        self._process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
        until(self._status.exists)
        until(self.all_answer)

    def now(self) -> dict[str, Any]:
        return json.loads(self._status.read_text())

    def all_answer(self) -> bool:
        now = self.now()
        return now["answering"] == GPUS and not now["released"]

    def release(self) -> None:
        self._status.with_suffix(".release").touch()

    def size(self) -> dict[str, int]:
        """Return memory in KiB and descriptors of it and of its child."""
        parent, child = Path(f"/proc/{self._process.pid}"), Path(f"/proc/{self.now()['child']}")
        return {
            "parent KiB": resident_kib(parent),
            "parent descriptors": len(list((parent / "fd").iterdir())),
            "child KiB": resident_kib(child),
            "child descriptors": len(list((child / "fd").iterdir())),
            "child threads": len(list((child / "task").iterdir())),
        }

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def resident_kib(process: Path) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    driver = FakeDriver(build(tmp_path), tmp_path / "state", GPUS, profile="h100").installed(monkeypatch)
    for gpu in range(GPUS):
        driver.load(gpu, 0.7, ago_s=60)
    return driver


@pytest.fixture
def reader(driver: FakeDriver, tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.close()


def faults(driver: FakeDriver) -> list[tuple[str, Act, Act]]:
    """Name each fault, with what brings it on a GPU and what takes it away."""

    def of_gpu(**keys: object) -> tuple[Act, Act]:
        return lambda gpu: driver.gpu(gpu, **keys), lambda gpu: driver.gpu(gpu, **dict.fromkeys(keys))

    me = os.getpid()
    return [
        ("hang", *of_gpu(hang=1)),
        ("slow", *of_gpu(slow="30:temp")),
        ("lost", *of_gpu(lost=1)),
        ("reset required", *of_gpu(reset_required=1)),
        ("implausible", *of_gpu(temp=4_000_000)),
        ("unknown error", *of_gpu(error=999)),
        ("processes", *of_gpu(compute=f"{me}:1048576,1:5", mem_used=1 << 30)),
        ("xids", lambda gpu: [driver.event(gpu, "xid", code) for code in (13, 31, 79)], lambda _: None),
        ("recovery", *of_gpu(recovery_action=2)),
        ("cut by MIG", lambda gpu: driver.mig(gpu, 0), lambda gpu: made_whole(driver, gpu)),
        ("counters back", *of_gpu(energy_mj=10**12)),
        ("silent driver", lambda _: driver.driver(hang=1), lambda _: driver.driver(hang=None)),
    ]


def made_whole(driver: FakeDriver, gpu: int) -> None:
    driver.mig(gpu, 0, gi=None)
    driver.gpu(gpu, mig_mode=0)


def test_a_hundred_thousand_polls_leave_the_child_and_the_daemon_as_they_were(driver, reader, capsys):
    rng = random.Random(3)  # noqa: S311  no secret
    seen: Counter[str] = Counter()
    child, begun_s, warm = reader.now()["child"], time.monotonic(), None
    while reader.now()["polls"] < POLLS:
        name, bring, take_away = rng.choice(faults(driver))
        seen[name] += 1
        gpu = rng.randrange(GPUS)
        bring(gpu)
        time.sleep(0.3)
        take_away(gpu)
        until(reader.all_answer, within_s=30)
        if warm is None and reader.now()["polls"] >= WARM_POLLS:
            warm = reader.size()
    after, now = reader.size(), reader.now()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{now['polls']} polls in {time.monotonic() - begun_s:.0f} s with {dict(seen)}\nevents: {now['told']}\n"
            f"after {WARM_POLLS} polls: {warm}\nat the end: {after}\n"
        )
    assert now["child"] == child
    assert warm is not None
    assert len(seen) == len(faults(driver))
    assert after["child KiB"] - warm["child KiB"] <= GROWTH_KIB
    assert after["parent KiB"] - warm["parent KiB"] <= GROWTH_KIB
    assert after["parent descriptors"] == warm["parent descriptors"]
    # A GPU that was met anew is listened to in an event set of its own for a moment.
    assert abs(after["child descriptors"] - warm["child descriptors"]) <= 1
    assert after["child threads"] <= GPUS + 4


def test_children_that_come_and_go_leave_nothing_behind(driver, reader, capsys):
    sizes = []
    for turn in range(REPLACEMENTS):
        child = reader.now()["child"]
        if turn % 3 == 0:
            driver.reload()
        elif turn % 3 == 1:
            driver.gpu(turn % GPUS, crash=1)
        else:
            reader.release()
        until(lambda child=child: reader.now()["child"] != child, within_s=30)
        driver.gpu(turn % GPUS, crash=None)
        until(reader.all_answer, within_s=30)
        sizes.append(reader.size())
    warm, after = sizes[WARM_REPLACEMENTS], sizes[-1]
    with capsys.disabled():
        sys.stdout.write(f"\n{REPLACEMENTS} replacements: {warm} ... {after}\nevents: {reader.now()['told']}\n")
    assert after["parent KiB"] - warm["parent KiB"] <= GROWTH_KIB
    assert after["parent descriptors"] == warm["parent descriptors"]
