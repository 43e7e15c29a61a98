"""A job may write anything into its report file; nothing of it may reach a database or a client that cannot hold it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Report
from dcdaemon.engines.report_line import report_of

SPEC = JobSpec(argv=("x",), cwd="/", uid=1, gid=1, user="ada", name="x", env_ref="")
JOB = Job(7, "n1", SPEC, JobState.RUNNING, 0.0, attempt=2)
NOW = 1_700_000_000.0


def line(text: str) -> Report | None:
    return report_of(JOB, json.loads(text))


def values(text: str) -> dict:
    report = line(f'{{"t": {NOW}, "step": 1, "values": {text}}}')
    assert report is not None
    return dict(report.values)


def test_an_ordinary_line_is_taken_as_it_is():
    report = line('{"t": 1700000000.25, "step": 3, "values": {"loss": 0.5, "epoch": 2, "phase": "val", "lr": null}}')
    assert report == Report(7, 2, 1700000000.25, 3, {"loss": 0.5, "epoch": 2, "phase": "val", "lr": None})


def test_a_line_may_have_no_step_and_more_keys_than_we_know():
    report = line('{"t": 5, "values": {}, "extra": [1]}')
    assert report == Report(7, 2, 5.0, None, {})


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"t": "now", "values": {}}',
        '{"t": true, "values": {}}',
        '{"t": NaN, "values": {}}',
        '{"t": Infinity, "values": {}}',
        '{"t": -1, "values": {}}',
        '{"t": 1e300, "values": {}}',
        f'{{"t": {10**400}, "values": {{}}}}',
        '{"t": 5, "step": 1.5, "values": {}}',
        '{"t": 5, "step": true, "values": {}}',
        '{"t": 5, "step": 9223372036854775808, "values": {}}',
        '{"t": 5, "step": 1}',
        '{"t": 5, "step": 1, "values": [1]}',
    ],
)
def test_what_is_no_report_is_none(text):
    assert line(text) is None


def test_numbers_that_are_none_are_reported_as_unknown():
    told = values('{"a": NaN, "b": Infinity, "c": -Infinity, "d": 1e999, "e": 99999999999999999999}')
    assert told == dict.fromkeys("abcde")


def test_values_of_other_kinds_are_left_out():
    assert values('{"a": [1], "b": {"c": 1}, "ok": 1}') == {"ok": 1}


def test_truth_is_kept_as_a_number():
    told = values('{"done": true}')
    assert told == {"done": 1}
    assert type(told["done"]) is int


def test_texts_are_cut_and_cleaned():
    told = values(json.dumps({"n" * 200: "x" * 2000, "nul": "a\0b", "half": "\ud800"}))
    assert told == {"n" * 100: "x" * 1000, "nul": "ab", "half": "?"}


def test_a_line_holds_at_most_a_hundred_values():
    assert len(values(json.dumps({f"q{number}": number for number in range(5000)}))) == 100


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
lines = st.fixed_dictionaries(
    {
        "t": st.floats() | anything,
        "step": st.none() | st.integers() | anything,
        "values": st.dictionaries(st.text(st.characters(exclude_categories=[])), anything) | anything,
    }
)


@given(lines)
def test_whatever_a_job_writes_can_be_stored_and_sent(document):
    report = report_of(JOB, document)
    if report is None:
        return
    sent = json.dumps(dict(report.values), allow_nan=False, ensure_ascii=False).encode()
    assert b"\\u0000" not in sent
    numbers = [value for value in (report.step, *report.values.values()) if isinstance(value, int)]
    assert all(-(2**63) < number < 2**63 for number in numbers)
    assert 0 <= report.at < 253402300800
