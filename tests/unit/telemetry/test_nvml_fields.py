"""The batch of fields against a function that stands for the driver's."""

from ctypes import POINTER, cast

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.telemetry import nvml_fields
from dcdaemon.telemetry.nvml_errors import GpuLost, NoDriver
from dcdaemon.telemetry.nvml_fields import Field, FieldBatch, decode
from dcdaemon.telemetry.nvml_processes import ProcessLists
from dcdaemon.telemetry.nvml_values import Belief, Values
from dcdaemon.telemetry.nvml_wide import WideCounter

UINT, ULL = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
FIELDS = [Field("watts", 10, per=1000), Field("bytes", 11, times=1024), Field("pages", 12), Field("pages", 13)]


class Driver:
    """Answers with these values, or return codes below 0."""

    def __init__(self) -> None:
        self.answers = {10: 1500, 11: 2, 12: 3, 13: 4}
        self.calls: list[list[int]] = []
        self.code = 0
        self.knows_all = True

    def __call__(self, _handle: object, count: object, array: object) -> int:
        items = cast(array, POINTER(pynvml.c_nvmlFieldValue_t))
        ids = [items[place].fieldId for place in range(count.value)]
        self.calls.append(ids)
        if self.code:
            return self.code
        if not self.knows_all and len(ids) > 1:
            return pynvml.NVML_ERROR_INVALID_ARGUMENT
        for place, number in enumerate(ids):
            answer = self.answers[number]
            items[place].nvmlReturn = -answer if answer < 0 else 0
            items[place].valueType = ULL
            items[place].value.ullVal = max(answer, 0)
        return 0


@pytest.fixture
def driver(monkeypatch) -> Driver:
    made = Driver()
    monkeypatch.setattr(nvml_fields, "function", lambda _: made)
    return made


@pytest.fixture
def values() -> Values:
    return Values({"watts": Belief(1000), "bytes": Belief(10**9), "pages": Belief(100)})


def test_all_fields_are_one_call_and_those_of_one_name_are_added_up(driver, values):
    batch = FieldBatch(None, FIELDS, values, 1.0)
    assert batch.ask(0.0)
    assert batch.ask(1.0)
    assert driver.calls == [[10, 11, 12, 13]] * 2
    assert values.now == [1.5, 2048, 7]


def test_what_is_not_supported_is_asked_once_and_its_name_is_told(driver, values):
    struck: list[str] = []
    driver.answers |= {10: -pynvml.NVML_ERROR_NOT_SUPPORTED, 13: -pynvml.NVML_ERROR_DEPRECATED}
    batch = FieldBatch(None, FIELDS, values, 1.0, struck=struck.append)
    for _ in range(3):
        batch.ask(0.0)
    assert driver.calls == [[10, 11, 12, 13], [11, 12], [11, 12]]
    assert values.now == [None, 2048, 3]
    assert struck == ["watts"]


def test_what_fails_for_the_moment_is_asked_again(driver, values):
    driver.answers |= {10: -pynvml.NVML_ERROR_UNKNOWN, 12: -pynvml.NVML_ERROR_TIMEOUT}
    batch = FieldBatch(None, FIELDS, values, 1.0)
    batch.ask(0.0)
    assert values.now == [None, 2048, None]
    driver.answers |= {10: 1000, 12: 1}
    batch.ask(1.0)
    assert values.now == [1.0, 2048, 5]


def test_a_call_that_fails_as_a_whole_leaves_everything_unknown(driver, values):
    batch = FieldBatch(None, FIELDS, values, 1.0)
    batch.ask(0.0)
    driver.code = pynvml.NVML_ERROR_UNKNOWN
    assert not batch.ask(1.0)
    assert values.now == [None, None, None]
    assert not batch.over


def test_a_driver_that_refuses_the_whole_list_for_one_id_is_asked_one_by_one(driver, values):
    driver.knows_all = False
    driver.answers[11] = -pynvml.NVML_ERROR_INVALID_ARGUMENT
    batch = FieldBatch(None, FIELDS[:2], values, 1.0)
    assert not batch.ask(0.0)
    assert batch.ask(1.0)
    assert driver.calls == [[10, 11], [10], [11], [10]]
    assert values.now == [1.5, None, None]


def test_a_driver_without_the_call_is_not_asked_for_ever(driver, values):
    struck: list[str] = []
    driver.code = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    batch = FieldBatch(None, FIELDS, values, 1.0, struck=struck.append)
    batch.ask(0.0)
    assert batch.over
    assert struck == ["bytes", "pages", "watts"]
    calls = len(driver.calls)
    assert batch.ask(1.0)
    assert len(driver.calls) == calls


@pytest.mark.parametrize("field_only", [True, False])
@pytest.mark.parametrize(
    ("code", "trouble"),
    [(pynvml.NVML_ERROR_GPU_IS_LOST, GpuLost), (pynvml.NVML_ERROR_UNINITIALIZED, NoDriver)],
)
def test_a_lost_gpu_or_driver_is_larger_trouble(driver, values, code, trouble, field_only):
    batch = FieldBatch(None, FIELDS, values, 1.0)
    if field_only:
        driver.answers[13] = -code
    else:
        driver.code = code
    with pytest.raises(trouble):
        batch.ask(0.0)


@given(st.integers(0, 2**64 - 1))
def test_the_type_says_how_the_bytes_are_read(raw):
    low = raw % 2**32
    assert decode(UINT, raw) == (None if low == 2**32 - 1 else low)
    assert decode(ULL, raw) == (None if raw == 2**64 - 1 else raw)
    assert decode(pynvml.NVML_VALUE_TYPE_SIGNED_INT, raw) == (low - 2**32 if low >= 2**31 else low)
    assert decode(pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, raw) == (raw - 2**64 if raw >= 2**63 else raw)
    assert decode(99, raw) is None


@given(st.lists(st.tuples(st.integers(0, 10**11), st.floats(0.5, 2)), min_size=2, max_size=20))
def test_a_wide_counter_grows_by_what_really_moved_however_often_the_raw_one_turned(steps):
    now_s, true, rate = 0.0, 12_345, 0.0
    counter = WideCounter(lambda: rate, lambda: now_s)
    assert counter(true % 2**32) == 0, "what moved before nobody saw"
    for moved, took_s in steps:
        now_s, true, rate = now_s + took_s, true + moved, moved / took_s
        assert counter(true % 2**32) == true - 12_345


def test_a_wide_counter_neither_jumps_nor_falls_over_a_reading_without_a_rate():
    rates = iter([0.0, 0.0, None, 0.0, 0.0])
    counter = WideCounter(lambda: next(rates), lambda: 0.0)
    assert [counter(raw) for raw in (5, 8, 100, 200, 204)] == [0, 3, None, 3, 7]


def test_nonsense_is_told_once_a_burst(values):
    for value in (1e6, 2e6, float("nan"), 5, 7e6):
        values.put(0, value)
    assert [name for name, _ in values.take_odd()] == ["watts", "watts"]
    assert values.take_odd() == []
    assert values.now[0] is None


def test_changes_are_told_once(values):
    values.put(0, 1)
    values.put(2, 5)
    assert values.take_changes(1) == [2, 5]
    assert values.take_changes(1) == []
    values.put(0, 2)
    assert values.take_changes(1) == []
    values.blank([2])
    assert values.take_changes(0) == [0, 2, 2, None]


def test_processes_are_listed_early_when_memory_moved_but_not_all_the_time():
    lists = ProcessLists(None, 10.0)
    lists._listed_s, lists.due_s = 100.0, 110.0
    lists.hasten(None)
    lists.hasten(5e6)
    assert lists.due_s == 110.0
    lists.hasten(1e9)
    assert lists.due_s == 102.0
    lists.due_s = 112.0
    lists.hasten(1e9 + 5e6)
    assert lists.due_s == 112.0
