"""What becomes of the other GPUs, and what is told, when one of them or the whole driver is in trouble."""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

import pytest
from fake_nvml.fake_driver import FakeDriver
from fake_nvml.quick_plan import INTERVAL_S, quick_plan
from patience import alive, until

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import GpuSample
from dcdaemon.telemetry.gpu_plan import Patience, Plan
from dcdaemon.telemetry.gpu_source import NvmlSource
from dcdaemon.telemetry.gpu_supervisor import Upkeep
from dcdaemon.telemetry.nvml_process import NvmlChild


def sample(source: NvmlSource, gpu: int) -> GpuSample:
    withdrawn = GpuSample(0, 0, gpu, error="withdrawn")
    return next((s for s in source.read().samples if s.gpu == gpu), withdrawn)


def fresh(source: NvmlSource) -> set[int]:
    return {s.gpu for s in source.read().samples}


def kinds(told: Iterable[Event]) -> list[tuple[EventKind, int | None]]:
    return [(event.kind, event.gpu) for event in told]


def of_kind(told: Iterable[Event], kind: EventKind) -> list[Event]:
    return [event for event in told if event.kind is kind]


def read_times(source: NvmlSource, gpus: Iterable[int], for_s: float) -> dict[int, list[float]]:
    """Return when each of these GPUs was read in the next seconds, by the samples' own time stamps."""
    times: dict[int, list[float]] = defaultdict(list)
    ends_s = time.monotonic() + for_s
    while time.monotonic() < ends_s:
        for gpu in gpus:
            read_s = sample(source, gpu).monotonic_s
            if read_s and read_s not in times[gpu]:
                times[gpu].append(read_s)
        time.sleep(0.05)
    return times


def longest_gap_s(times: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(times))


@pytest.mark.slow
@pytest.mark.parametrize("fault", [{"hang": 1}, {"slow": 300}])
def test_a_gpu_that_hangs_or_is_slow_ages_the_others_by_less_than_one_interval(library, tmp_path, monkeypatch, fault):
    driver = FakeDriver(library, tmp_path / "state", 4).installed(monkeypatch)
    source = NvmlSource(1.0)
    source.start()
    try:
        assert source.wait_known(10)
        driver.gpu(1, fault)
        times = read_times(source, (0, 2, 3), 6)
        assert {gpu: len(seen) >= 4 for gpu, seen in times.items()} == {0: True, 2: True, 3: True}
        assert max(longest_gap_s(seen) for seen in times.values()) < 2.0
    finally:
        source.close()


def test_a_hung_gpu_is_withdrawn_told_once_and_comes_back_in_the_same_child(driver, start, told):
    source = start(deadline_s=60)
    child = source.child_pid
    driver.gpu(2, hang=1)
    until(lambda: fresh(source) == {0, 1, 3})
    until(lambda: (EventKind.GPU_STALE, 2) in kinds(told))
    assert source.read().driver_error is None
    assert [gpu.index for gpu in source.read().gpus] == [0, 1, 2, 3]

    driver.gpu(2, hang=None)
    until(lambda: fresh(source) == {0, 1, 2, 3})
    until(lambda: (EventKind.GPU_FOUND, 2) in kinds(told))
    assert kinds(told) == [(EventKind.GPU_STALE, 2), (EventKind.GPU_FOUND, 2)]
    assert source.child_pid == child


def test_two_hung_gpus_do_not_hide_the_others_either(driver, start):
    source = start(deadline_s=60)
    driver.gpu(1, hang=1)
    driver.gpu(2, hang=1)
    until(lambda: fresh(source) == {0, 3})
    driver.gpu(1, hang=None)
    until(lambda: fresh(source) == {0, 1, 3})
    driver.gpu(2, hang=None)
    until(lambda: fresh(source) == {0, 1, 2, 3})


def test_a_gpu_that_hangs_from_the_start_does_not_hide_the_others(driver, told):
    driver.gpu(0, hang=1)
    source = NvmlSource(tell=told.append, upkeep=Upkeep(quick_plan(), Patience(60)))
    source.start()
    try:
        until(lambda: fresh(source) == {1, 2, 3})
        until(lambda: kinds(told) == [(EventKind.GPU_STALE, 0)])
    finally:
        source.close()


def test_a_slow_gpu_still_tells_its_values(driver, start):
    source = start(deadline_s=60)
    driver.gpu(1, slow="250:temp", temp=77)
    until(lambda: sample(source, 1).temp_c == 77)
    driver.gpu(1, slow=None, temp=55)
    until(lambda: sample(source, 1).temp_c == 55)


class Deaf(NvmlChild):
    """Stands for a child that hangs in one GPU for good: the first one never hears of GPU 2 after its first words."""

    born = 0

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        Deaf.born += 1
        self._deaf = Deaf.born == 1

    def lines(self) -> list[bytes] | None:
        said = super().lines()
        return said if not self._deaf or said is None else [self._without_gpu_2(line) for line in said]

    def _without_gpu_2(self, line: bytes) -> bytes:
        message = json.loads(line)
        if "gpus" in message:
            message["gpus"] = [said for said in message["gpus"] if said[0] != 2]
        return json.dumps(message).encode()


def test_a_second_child_takes_over_when_it_reaches_the_gpu_that_the_first_does_not(driver, start, told, monkeypatch):
    monkeypatch.setattr(Deaf, "born", 0)
    source = NvmlSource(tell=told.append, upkeep=Upkeep(quick_plan(), Patience(1.0), Deaf))
    source.start()
    try:
        until(lambda: fresh(source) >= {0, 1, 3})
        first = source.child_pid
        until(lambda: fresh(source) == {0, 1, 2, 3}, within_s=20)
        assert source.child_pid != first
        until(lambda: not alive(first))
        until(lambda: of_kind(told, EventKind.CHILD_REPLACED))
        (replaced,) = of_kind(told, EventKind.CHILD_REPLACED)
        assert replaced.message.startswith("gpu 2 was silent for ")
    finally:
        source.close()


def test_a_second_child_that_does_no_better_is_dismissed_and_the_first_goes_on(driver, start, told):
    born: list[NvmlChild] = []

    def launch(plan: Plan) -> NvmlChild:
        born.append(NvmlChild(plan))
        return born[-1]

    source = start(launch, deadline_s=0.8)
    driver.gpu(2, hang=1)
    until(lambda: len(born) == 2)
    until(born[1].gone)
    assert source.child_pid == born[0].pid
    assert fresh(source) == {0, 1, 3}
    assert EventKind.CHILD_REPLACED not in {event.kind for event in told}


@pytest.mark.parametrize(("fault", "words"), [("lost", "lost"), ("reset_required", "reset required")])
def test_a_lost_gpu_is_told_once_and_so_is_its_return(driver, start, told, fault, words):
    source = start()
    driver.gpu(1, {fault: 1})
    until(lambda: source.read().lost == {1})
    driver.gpu(1, {fault: None})
    until(lambda: source.read().lost == frozenset() and fresh(source) == {0, 1, 2, 3})
    until(lambda: kinds(told) == [(EventKind.GPU_LOST, 1), (EventKind.GPU_FOUND, 1)])
    assert told[0].message == f"gpu 1 is lost to the driver ({words})"


def test_a_driver_that_falls_silent_is_one_event_and_so_is_its_answer(driver, start, told):
    source = start(deadline_s=60)
    driver.driver(hang=1)
    until(lambda: not source.read().samples)
    until(lambda: kinds(told) == [(EventKind.DRIVER_SILENT, None)])
    assert told[0].message.endswith("the values of all 4 are withdrawn")
    driver.driver(hang=None)
    until(lambda: fresh(source) == {0, 1, 2, 3})
    until(lambda: kinds(told) == [(EventKind.DRIVER_SILENT, None), (EventKind.DRIVER_RETURNED, None)])


def test_a_driver_that_is_gone_is_told_before_it_is_asked_again_and_so_is_its_return(driver, start, told):
    source = start(retry_s=60)
    driver.driver(init_error=9)
    driver.reload()
    until(lambda: of_kind(told, EventKind.DRIVER_SILENT))
    driver.driver(init_error=None)
    source.release(0)  # asks at once
    until(lambda: fresh(source) == {0, 1, 2, 3})
    until(lambda: of_kind(told, EventKind.DRIVER_RETURNED))
    [silent] = of_kind(told, EventKind.DRIVER_SILENT)
    assert "the NVIDIA driver cannot be used" in silent.message


def test_a_driver_that_is_gone_after_a_release_does_not_answer_with_every_child(driver, start, told):
    launched = []
    source = start(lambda plan: launched.append(plan) or NvmlChild(plan), retry_s=1.0)
    source.release(60)
    driver.driver(init_error=9)
    source.release(0)
    until(lambda: of_kind(told, EventKind.DRIVER_SILENT))
    tried = len(launched)
    until(lambda: len(launched) > tried + 2)
    assert kinds(told) == [(EventKind.DRIVER_RELEASED, None), (EventKind.DRIVER_SILENT, None)]


def test_a_child_that_crashes_is_replaced_and_told(driver, start, told):
    source = start()
    driver.gpu(0, crash=1)
    until(lambda: source.read().driver_error == "the telemetry child was ended by SIGABRT")
    driver.gpu(0, crash=None)
    until(lambda: fresh(source) == {0, 1, 2, 3} and source.read().driver_error is None)
    until(lambda: of_kind(told, EventKind.CHILD_REPLACED))
    message = of_kind(told, EventKind.CHILD_REPLACED)[0].message
    assert message == "the telemetry child was ended by SIGABRT: another one has taken its place"


def test_a_driver_that_is_loaded_anew_is_found_again_and_its_counters_begin_anew(driver, start, told):
    source = start()
    driver.reload()
    until(lambda: of_kind(told, EventKind.COUNTER_RESET))
    until(lambda: fresh(source) == {0, 1, 2, 3} and sample(source, 0).energy_counter_mj == 0)
    assert {event.gpu for event in of_kind(told, EventKind.COUNTER_RESET)} <= {0, 1, 2, 3}


def test_a_counter_that_runs_backwards_is_one_event_and_passes_as_it_is(driver, start, told):
    source = start()
    driver.gpu(0, energy_mj=12)
    until(lambda: sample(source, 0).energy_counter_mj == 12)
    until(lambda: kinds(told) == [(EventKind.COUNTER_RESET, 0)])
    assert (told[0].subject, told[0].message) == (
        "gpu 0", "gpu 0 counts anew: energy_counter_mj from 5000000000 to 12",
    )  # fmt: skip
    time.sleep(3 * INTERVAL_S)
    assert len(told) == 1


def test_nonsense_is_dropped_counted_and_told_once_a_burst(driver, start, told):
    source = start()
    driver.gpu(0, temp=4_000_000)
    until(lambda: sample(source, 0).temp_c is None)
    assert source.implausible_values == 1
    assert kinds(told) == [(EventKind.IMPLAUSIBLE_VALUE, 0)]
    assert told[0].evidence == {"metric": "temp_c", "value": 4_000_000}
    driver.gpu(0, temp=50)
    until(lambda: sample(source, 0).temp_c == 50)
    driver.gpu(0, temp=4_000_001)
    until(lambda: len(told) == 2)
    assert sample(source, 0).power_w == 100.5


@pytest.mark.parametrize("code", [4, 999])
def test_what_fails_for_the_moment_is_asked_again_and_what_is_refused_is_not(driver, start, code):
    source = start()
    driver.gpu(0, {"error.temp": code})
    until(lambda: sample(source, 0).temp_c is None)
    driver.gpu(0, {"error.temp": None}, util=77)
    if code == 999:
        until(lambda: sample(source, 0).temp_c == 40)
    else:
        until(lambda: sample(source, 0).util_ratio == 0.77)
        assert sample(source, 0).temp_c is None


def test_an_xid_of_nvml_is_an_event_and_the_samples_newest_code(driver, start, told):
    source = start()
    xids = lambda: of_kind(told, EventKind.XID)  # noqa: E731  asked again and again

    def seen() -> bool:
        driver.event(2, "xid", 79)  # one that comes before we listen is never delivered
        time.sleep(0.2)
        return bool(xids())

    until(seen)
    first = xids()[0]
    assert (first.gpu, first.subject, first.evidence["xid"], first.evidence["source"]) == (2, "gpu 2", 79, "nvml")
    assert first.message == "gpu 2: XID 79, the GPU has fallen off the bus"
    until(lambda: sample(source, 2).last_xid == 79)
    assert sample(source, 0).last_xid is None


def test_a_gpu_without_events_is_no_trouble(driver, start, told):
    driver.gpu(0, event_types=0)
    source = start()
    until(lambda: fresh(source) == {0, 1, 2, 3})

    def seen() -> bool:
        driver.event(1, "xid", 31)
        time.sleep(0.2)
        return bool(told)

    until(seen)
    assert {event.gpu for event in told} == {1}


def test_a_call_for_recovery_is_told_once_by_the_event_and_by_the_value(driver, start, told):
    source = start()
    driver.gpu(3, recovery_action=1)
    driver.event(3, "recovery", 1)
    until(lambda: sample(source, 3).recovery_action == 1)
    until(lambda: kinds(told) == [(EventKind.RECOVERY_ACTION, 3)])
    assert told[0].message == "gpu 3: the driver asks for a reset of the GPU"
    driver.gpu(3, recovery_action=0)
    until(lambda: len(told) == 2)
    assert told[1].message == "gpu 3: the driver asks for nothing any more"


def test_the_driver_is_released_and_taken_back(driver, start, told):
    source = start()
    child = source.child_pid
    source.release(600)
    assert not alive(child)
    reading = source.read()
    assert (reading.samples, len(reading.gpus)) == ((), 4)
    assert reading.released_until == pytest.approx(time.time() + 600, abs=30)
    assert reading.driver_error.startswith("the driver is released until ")
    assert [event.kind for event in told] == [EventKind.DRIVER_RELEASED]
    driver.driver(count=2)  # loaded anew, with fewer GPUs

    source.release(0)
    until(lambda: fresh(source) == {0, 1})
    assert (source.read().released_until, source.read().driver_error) == (None, None)
    until(lambda: EventKind.DRIVER_RETURNED in {event.kind for event in told})
    assert EventKind.DRIVER_SILENT not in {event.kind for event in told}


def test_a_release_ends_by_itself(driver, start):
    source = start()
    source.release(0.3)
    assert source.read().released_until is not None
    until(lambda: source.read().released_until is None and fresh(source) == {0, 1, 2, 3})


def test_a_source_that_is_released_closes_at_once(driver, start):
    source = start()
    source.release(600)
    before = time.monotonic()
    source.close()
    assert time.monotonic() - before < 1
    source.release(600)


def test_no_descriptor_is_left_by_sources_that_came_and_went(driver, start):
    start().close()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        start().close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
