"""What no other tool reads, our collector reads as nvml.h defines it: cases worked out by hand, in README.md."""

import re

import pynvml
import pytest
from definitions import READ_BY_PEERS, Definition, definitions
from fake_nvml.fake_driver import FakeDriver
from patience import until

from dcdaemon.core.metric import metrics_of
from dcdaemon.core.samples import GpuSample, MigSample
from dcdaemon.telemetry.gpu_source import NvmlSource

#: One GPU of each kind of board, by its place.
BOARDS = ["h100", "b200", "v100"]
XID_IS_AN_EVENT = {"last_xid"}


def name_of(one: Definition) -> str:
    return one.attribute


@pytest.fixture(scope="module")
def samples(library, tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        driver = FakeDriver(library, tmp_path_factory.mktemp("state") / "state", len(BOARDS), "h100")
        driver.installed(environment)
        for gpu, board in enumerate(BOARDS):
            driver.gpu(gpu, profile=board)
        for one in definitions():
            driver.gpu(BOARDS.index(one.board), one.says)
        source = NvmlSource(0.25)
        source.start()
        try:
            told = [(BOARDS.index(one.board), one.attribute) for one in definitions()]
            until(lambda: has_all(source.read().samples, told), within_s=30)
            yield source.read().samples
        finally:
            source.close()


def has_all(samples, told) -> bool:
    return len(samples) == len(BOARDS) and all(getattr(samples[gpu], name) is not None for gpu, name in told)


@pytest.mark.parametrize("one", definitions(), ids=name_of)
def test_a_value_is_what_was_worked_out_by_hand(samples, one):
    assert getattr(samples[BOARDS.index(one.board)], one.attribute) == pytest.approx(one.value, rel=1e-9)


@pytest.mark.parametrize("one", definitions(), ids=name_of)
def test_the_definition_is_the_one_that_the_metric_names_as_its_source(one):
    """Names and ids are those of nvidia-ml-py, which has them from nvml.h."""
    source = next(metric.source for metric in metrics_of(GpuSample) if metric.attribute == one.attribute)
    structure, _, member = one.nvml.partition(".")
    if one.nvml.startswith("NVML_FI_"):
        assert f"field {getattr(pynvml, one.nvml)}" in source
    elif one.nvml.startswith("NVML_GPM_"):
        assert f"GPM {getattr(pynvml, one.nvml)}" in source
    elif member:
        layout = getattr(pynvml, f"c_{structure}", None) or getattr(pynvml, f"c_{structure.removesuffix('_t')}")
        assert member in [name for name, *_ in layout._fields_]
    else:
        assert callable(getattr(pynvml, one.nvml))
        assert one.nvml in source


def test_every_value_of_a_gpu_is_compared_with_another_tool_or_worked_out_by_hand():
    ours = {metric.attribute for metric in metrics_of(GpuSample)}
    assert ours - READ_BY_PEERS - XID_IS_AN_EVENT == {one.attribute for one in definitions()} - READ_BY_PEERS


def test_every_row_of_the_table_is_read():
    assert len({one.attribute for one in definitions()}) == len(definitions()) > 50
    assert all(one.line > 0 and re.search(r"\w|%", one.unit) for one in definitions())


def test_activity_of_a_mig_instance_by_hand(driver_of, ours):
    driver = driver_of("h100", 1)
    driver.mig(0, 0, {"gpm.2": 31.5, "gpm.5": 12, "gpm.10": 6.25})
    names = {metric.attribute for metric in metrics_of(MigSample)}
    reading = ours(lambda reading: reading.migs and all(getattr(reading.migs[0], name) is not None for name in names))
    (mig,) = reading.migs
    assert (mig.sm_active_ratio, mig.tensor_active_ratio, mig.dram_active_ratio) == (0.315, 0.12, 0.0625)


def test_an_xid_is_told_with_its_code(driver_of, ours):
    driver = driver_of("h100", 1)

    def told(reading) -> bool:
        if reading.samples and reading.samples[0].last_xid is None:
            driver.event(0, "xid", 79)
        return bool(reading.samples) and reading.samples[0].last_xid is not None

    assert ours(told).samples[0].last_xid == 79
