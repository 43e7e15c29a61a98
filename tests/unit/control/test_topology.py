"""Which GPUs of a node are neighbours."""

from dcdaemon.control.topology import neighbourhoods
from dcdaemon.core.gpu import GpuInfo

SWITCH = "00000000:05:00.0"


def gpu(index: int, numa: int | None, *ends: str) -> GpuInfo:
    return GpuInfo(index, f"GPU-{index}", "H100", None, bus(index), numa_node=numa, nvlink_ends=ends)


def bus(index: int) -> str:
    return f"00000000:{0x1A + index:02X}:00.0"


def test_of_a_node_that_tells_nothing_nothing_is_known():
    assert neighbourhoods([gpu(0, None), gpu(1, None)]) == {0: (), 1: ()}
    assert neighbourhoods([]) == {}


def test_without_nvlink_the_numa_nodes_are_the_neighbourhoods():
    assert neighbourhoods([gpu(0, 0), gpu(1, 1), gpu(2, None)]) == {0: (0,), 1: (1,), 2: (-1,)}


def test_gpus_on_one_switch_are_one_domain():
    assert neighbourhoods([gpu(index, index // 2, SWITCH) for index in range(4)]) == {
        0: (0, 0), 1: (0, 0), 2: (1, 0), 3: (1, 0),
    }  # fmt: skip


def test_bridges_make_pairs_whichever_end_tells_of_them_and_however_it_is_spelled():
    pairs = [gpu(0, 0, bus(1)), gpu(1, 0), gpu(2, 0), gpu(3, 0, bus(2).lower()), gpu(4, 0)]
    assert neighbourhoods(pairs) == {0: (0, 0), 1: (0, 0), 2: (0, 2), 3: (0, 2), 4: (0, 4)}


def test_gpus_that_reach_each_other_over_others_are_one_domain():
    ring = [gpu(0, None, bus(1)), gpu(1, None, bus(0)), gpu(2, None, bus(3)), gpu(3, None, bus(0))]
    assert set(neighbourhoods(ring).values()) == {(0,)}
