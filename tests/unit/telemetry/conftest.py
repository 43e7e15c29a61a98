from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_nvml.fake_driver import FakeDriver, build
from fake_nvml.quick_plan import quick_plan
from fixtures.host_tree import plant

from dcdaemon.core.event import Event
from dcdaemon.telemetry.gpu_plan import Patience, Plan
from dcdaemon.telemetry.gpu_source import NvmlSource
from dcdaemon.telemetry.gpu_supervisor import Upkeep
from dcdaemon.telemetry.nvml_process import NvmlChild


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    return FakeDriver(library, tmp_path / "state", count=4).installed(monkeypatch)


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """The /proc and /sys of a server."""
    return plant("xeon.tree", tmp_path)


@pytest.fixture
def told() -> list[Event]:
    """All events of the sources of this test."""
    return []


@pytest.fixture
def start(told: list[Event]) -> Iterator[Callable[..., NvmlSource]]:
    """Starts sources with short intervals and closes them at the end."""
    sources: list[NvmlSource] = []

    def start_one(launch: Callable[[Plan], NvmlChild] = NvmlChild, **changes: Any) -> NvmlSource:
        waits = {"deadline_s": 1.0, "restart_s": 0.05, "retry_s": 0.3, "lost_s": 1.0}
        patience = Patience(**{name: changes.pop(name, usual) for name, usual in waits.items()})
        source = NvmlSource(tell=told.append, upkeep=Upkeep(quick_plan(), patience, launch), **changes)
        sources.append(source)
        source.start()
        assert source.wait_known(10)
        return source

    yield start_one
    for source in sources:
        source.close()
