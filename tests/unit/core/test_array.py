"""Lists of array indices: what they mean, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.core.array import MAX_TASKS, Array, format_indices, parse_array
from dcdaemon.core.errors import BadInput


@pytest.mark.parametrize(
    ("text", "indices", "limit"),
    [
        ("0-3", (0, 1, 2, 3), None),
        ("7", (7,), None),
        ("1,3,7", (1, 3, 7), None),
        ("7,1-2", (1, 2, 7), None),
        ("0-15:4", (0, 4, 8, 12), None),
        ("0-3:9", (0,), None),
        ("0-99%5", tuple(range(100)), 5),
        ("1, 3 ,5%2", (1, 3, 5), 2),
        ("5-5", (5,), None),
        ("999999999", (999_999_999,), None),
        (f"0-{MAX_TASKS - 1}", tuple(range(MAX_TASKS)), None),
    ],
)
def test_a_list_means_its_indices_in_order(text, indices, limit):
    assert parse_array(text) == Array(indices, limit)


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "1,", "1,,2", "-1", "-3-5", "3--5", "5-3", "0-9:0", "0-9:-1", "1:2", "a", "0x1", "1.5", "0-9%",
     "0-9%0", "0-9%-1", "0-9%x", "%5", "0-9%5%5", "²", "1_0", "[0-3]"],
)  # fmt: skip
def test_what_names_no_indices_is_bad_input(text):
    with pytest.raises(BadInput) as caught:
        parse_array(text)
    assert caught.value.message == f"{text!r} names no indices of an array"
    assert caught.value.hint == "write it like 0-99, 0-99%5, 0-15:4 or 1,3,7"


@pytest.mark.parametrize("text", ["1000000000", "0-99999999999"])
def test_an_index_of_more_than_nine_digits_is_named_as_such(text):
    with pytest.raises(BadInput, match="an index of more than nine digits"):
        parse_array(text)


@pytest.mark.parametrize("text", ["1,1", "0-3,2", "0-8:4,4"])
def test_an_index_that_is_named_twice_is_bad_input(text):
    with pytest.raises(BadInput, match=r"names index \d twice"):
        parse_array(text)


@pytest.mark.parametrize(("text", "jobs"), [("0-999999", 1_000_000), ("0-999999999", 10**9), ("0-9999,10000", 10_001)])
def test_an_array_that_is_too_large_is_refused_before_it_is_written_out(text, jobs):
    with pytest.raises(BadInput) as caught:
        parse_array(text)
    assert caught.value.message == f"an array of {jobs} jobs: at most 10000 are taken in one request"
    assert caught.value.hint == "submit it in parts, like --array 0-9999 and --array 10000-19999"


def test_a_megabyte_of_nonsense_is_answered_in_a_line():
    with pytest.raises(BadInput) as caught:
        parse_array("x" * 1_000_000)
    assert len(caught.value.message) < 120


@given(st.sets(st.integers(0, 10**9 - 1), min_size=1, max_size=50))
def test_what_is_written_is_read_back(indices):
    ordered = tuple(sorted(indices))
    assert parse_array(format_indices(ordered)).indices == ordered
