"""One fake driver, our collector and the other tools on it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_nvml.fake_driver import FakeDriver, build
from lack import missing
from patience import until

from dcdaemon.core.samples import GpuReading
from dcdaemon.telemetry.gpu_source import NvmlSource

PEERS = Path(__file__).parents[2] / ".venv" / "peers" / "bin"


@pytest.fixture(scope="session")
def peers() -> Path:
    """The folder of the other tools' programs."""
    if not (PEERS / "nvitop-exporter").exists():
        missing("the other tools are not installed: make peers")
    return PEERS


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver_of(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeDriver]:
    """Makes the driver that every program started from now on finds."""

    def installed(profile: str, count: int, *defines: str) -> FakeDriver:
        chosen = build(tmp_path, *defines) if defines else library
        return FakeDriver(chosen, tmp_path / "state", count, profile).installed(monkeypatch)

    return installed


@pytest.fixture
def ours() -> Iterator[Callable[..., GpuReading]]:
    """Reads the driver with our own collector, until the reading is as complete as the caller wants it."""
    sources: list[NvmlSource] = []

    def read(enough: Callable[[GpuReading], object]) -> GpuReading:
        source = NvmlSource(0.25)
        sources.append(source)
        source.start()
        until(lambda: enough(source.read()), within_s=30)
        return source.read()

    yield read
    for source in sources:
        source.close()
