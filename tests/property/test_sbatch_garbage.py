"""Whatever stands in a batch script: it is understood, or refused with one error that says what to do."""

from datetime import datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcdaemon.cli.sbatch.begin import begin_at
from dcdaemon.cli.sbatch.export import exported
from dcdaemon.cli.sbatch.options import OPTIONS, SHORT
from dcdaemon.cli.sbatch.request import read_request
from dcdaemon.cli.sbatch.resources import count_together
from dcdaemon.cli.sbatch.step import read_step
from dcdaemon.core.errors import BadInput

NOW = datetime(2026, 3, 28, 14, 30)  # noqa: DTZ001  local time, as on a wall clock
NAMES = st.sampled_from([f"--{name}" for name in OPTIONS] + [f"-{letter}" for letter in SHORT])
VALUES = st.sampled_from(
    ["1", "0", "-1", "2:30", "1-12", "gpu:2", "h100:1", "32G", "afterok:1", "0-9%2", "now+1hour", "ALL,A=1", "'", "#"]
) | st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=12)
LINES = st.lists(st.tuples(NAMES, st.sampled_from(["=", " ", ""]), VALUES).map("".join), max_size=6)


def outcome(read, *arguments):
    """Return what was read, or what to do instead; None where the refusal has no hint."""
    try:
        return read(*arguments)
    except BadInput as error:
        return error.hint if error.message else None


def counted(text: str) -> tuple[int, ...]:
    """Return all amounts of a script's job."""
    found = count_together(read_request(text, "job.sh"))
    return tuple(number or 0 for number in (found.gpus, found.cpus, found.mem_bytes, found.ntasks))


@settings(max_examples=500)
@given(LINES)
@example(["--gpus=1", "--mem-per-gpu=1G"])
def test_lines_are_understood_or_refused(lines):
    found = outcome(counted, "\n".join(["#!/bin/sh", *(f"#SBATCH {line}" for line in lines)]))
    assert found is not None
    assert isinstance(found, str) or min(found) >= 0


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text_is_a_script_or_none(text):
    assert outcome(counted, text) is not None


@settings(max_examples=300)
@given(st.text(max_size=30) | VALUES)
@example("99999999999:00")
@example("now+999999999weeks")
@example("²²:²²")
def test_begin_is_a_time_or_none(text):
    assert outcome(begin_at, text, NOW) is not None


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_exports_are_read_or_refused(text, inherited):
    assert outcome(exported, text, inherited) is not None


@given(st.lists(NAMES | VALUES, max_size=6))
def test_srun_is_read_or_refused(words):
    assert outcome(read_step, words, {}) is not None
