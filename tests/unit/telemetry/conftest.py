from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_nvml.fake_driver import FakeDriver, build

from dcdaemon.telemetry.gpu_source import NvmlSource

INTERVAL_S = 0.2


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    return FakeDriver(library, tmp_path / "state", count=4).installed(monkeypatch)


@pytest.fixture
def start() -> Iterator[Callable[..., NvmlSource]]:
    """Starts sources with fast intervals and closes them at the end."""
    sources: list[NvmlSource] = []

    def start_one(**changes: object) -> NvmlSource:
        settings = {"interval_s": INTERVAL_S, "deadline_s": 1.0, "restart_s": 0.05, "retry_s": 0.3}
        source = NvmlSource(**(settings | changes))
        sources.append(source)
        source.start()
        assert source.wait_known(10)
        return source

    yield start_one
    for source in sources:
        source.close()
