"""The fake driver library inside the test's own process, through nvidia-ml-py."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest
from fake_nvml.fake_driver import FakeDriver, build


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    made: dict[tuple[str, ...], Path] = {}

    def library(*defines: str) -> Path:
        if defines not in made:
            made[defines] = build(tmp_path_factory.mktemp("nvml"), *defines)
        return made[defines]

    return library


@pytest.fixture
def driver_of(
    libraries: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., FakeDriver]]:
    """Makes a driver and lets nvidia-ml-py speak to it: by its path, so that no other test finds it."""

    def installed(*defines: str, count: int = 2, profile: str | None = "h100") -> FakeDriver:
        library = libraries(*defines)
        driver = FakeDriver(library, tmp_path / "state", count, profile).installed(monkeypatch)
        monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(library)))
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
        pynvml.nvmlInit()
        return driver

    yield installed
    # The library stays loaded: leave no session behind for the next test.
    while pynvml.nvmlLib is not None:
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError:
            break


@pytest.fixture
def driver(driver_of: Callable[..., FakeDriver]) -> FakeDriver:
    """Two H100s."""
    return driver_of()


@pytest.fixture
def gpu(driver: FakeDriver) -> object:
    return pynvml.nvmlDeviceGetHandleByIndex(0)
