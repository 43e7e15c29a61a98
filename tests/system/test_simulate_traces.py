"""Real traces: our FIFO is a plain FIFO to the second, and our figures are those of an independent simulator."""

import json

import pytest

from benchmarks.bench_simulate import REFERENCE, compare_row, mean_completion_s, replayed

pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason=f"there is no {REFERENCE}: set DCD_DATA")
#: Where the reference's way to choose among equally good nodes makes all the difference; see docs/simulator.md.
DECIDED_BY_TIES = {("itp_cluster02", 18, "fifo")}
#: The larger traces take longer than a test should; `python -m benchmarks simulate` plays them all.
QUICK = ("itp_cluster01", "itp_cluster02", "itp_cluster03", "itp_cluster05", "itp_cluster06", "philly_vc_103959")


def reference() -> list[dict]:
    rows = map(json.loads, REFERENCE.read_text().splitlines())
    return [row for row in rows if row["policy"] in ("fifo", "easy") and row["trace"] in QUICK]


def test_mean_completions_are_those_of_the_reference_but_where_ties_decide():
    far = {(row["trace"], row["gpus"] // 8, row["policy"]) for row in reference() if compare_row(row)}
    assert far == DECIDED_BY_TIES


def test_fifo_is_what_a_plain_replay_makes_of_it():
    for row in reference():
        nodes = row["gpus"] // 8
        if row["policy"] == "fifo":
            by_index, _ = replayed(row["trace"], nodes)
            assert by_index == pytest.approx(mean_completion_s(row["trace"], nodes, "fifo"), rel=1e-9)
