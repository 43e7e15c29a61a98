"""Durations, bytes and energy, read and printed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcdaemon.core.errors import BadInput
from dcdaemon.core.units import format_bytes, format_duration, format_energy, parse_bytes, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        ("2h30m", 9000.0),
        ("10min", 600.0),
        (" 1D ", 86400.0),
        ("1w", 604800.0),
        ("1-12:00:00", 129600.0),
        ("2:00:00", 7200.0),
        ("1-02:30", 95400.0),
        ("0s", 0.0),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["90", "1.5"])
def test_a_bare_number_is_refused_with_the_choices(text):
    with pytest.raises(BadInput, match="has no unit") as caught:
        parse_duration(text)
    assert caught.value.hint == f"write {text}m for minutes, {text}s for seconds or {text}h for hours"


@pytest.mark.parametrize("text", ["", "soon", "1x", "h", "-5s", "5s later", "1:30", "1.h", "1e3s", "٣s s"])
def test_what_is_no_duration(text):
    with pytest.raises(BadInput, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0s"),
        (-3, "0s"),
        (0.25, "250ms"),
        (42.4, "42s"),
        (59.7, "1m"),
        (4320, "1h12m"),
        (7200, "2h"),
        (3599.9, "1h"),
        (3 * 86400 + 4 * 3600 + 59, "3d4h"),
    ],
)
def test_durations_printed(seconds, text):
    assert format_duration(seconds) == text


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 10**9))
def test_a_printed_duration_can_be_read_back_and_is_cut_by_less_than_its_smaller_unit(seconds):
    back = parse_duration(format_duration(seconds))
    assert 0 <= seconds - back < 3600
    assert seconds >= 86400 or seconds - back < 60


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1048576B", 2**20),
        ("512M", 512 * 2**20),
        ("512MiB", 512 * 2**20),
        ("1.5g", 3 * 2**29),
        ("2 TB", 2 * 2**40),
        ("1P", 2**50),
        ("0", 0),
    ],
)
def test_bytes(text, count):
    assert parse_bytes(text) == count


def test_memory_without_a_unit_is_refused_with_both_readings():
    with pytest.raises(BadInput) as refusal:
        parse_bytes("32")
    assert refusal.value.hint == "write 32G for gibibytes, 32M for mebibytes"


@pytest.mark.parametrize("text", ["", "M", "-1G", "5X", "1G2M", "lots"])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(BadInput, match="is not an amount of memory"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (512 * 2**20, "512 MiB"), (2**30 * 213 // 10, "21.3 GiB"), (2**40, "1 TiB")],
)
def test_bytes_printed(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("energy_mj", "text"),
    [
        (None, "-"),
        (0, "0 J"),
        (3_599_000, "3599 J"),
        (3_600_000, "1.0 Wh"),
        (36_000_000, "10.0 Wh"),
        (360_000_000, "0.10 kWh"),
        (3_600_000_000, "1.00 kWh"),
    ],
)
def test_energy_printed(energy_mj, text):
    assert format_energy(energy_mj) == text
