"""Studies: the same question gives the same answer, and a wrong one none."""

import json
import subprocess
import sys

import pytest
from recordings import JOBS, SMALL

from dcdaemon.core.errors import BadInput
from dcdaemon.core.units import format_duration
from dcdaemon.simulator.choices import CHOICES, chosen
from dcdaemon.simulator.cluster import Cluster, sized
from dcdaemon.simulator.metrics import Metrics
from dcdaemon.simulator.study import Study, carry_out, document, estimates, prepared
from dcdaemon.simulator.words import BARS, FIGURES, heading, left_out_words
from dcdaemon.simulator.workload import LeftOut, RecordedJob, Workload


def study(cluster=SMALL, **changes):
    return Study([Workload("small", JOBS)], cluster, chosen(["fifo", "easy", "default"]), **changes)


def test_a_run_for_each_recording_and_policy_in_their_order():
    two = Study([Workload("a", JOBS), Workload("b", JOBS[:2])], SMALL, chosen(["easy", "fifo"]))
    runs = carry_out(two)
    assert [(run.workload.name, run.policy) for run in runs] == [(n, p) for n in "ab" for p in ("easy", "fifo")]
    assert two.plays == 16
    assert [len(run.waits_s) for run in runs] == [6, 6, 2, 2]
    assert runs[0].waits_s == [0, 0, 0, 0, 90, 120]


def test_jobs_wider_than_the_machine_are_left_out_and_counted():
    ready = prepared(study(Cluster(1, 2)))
    assert ready.workloads[0].left_out == LeftOut(too_wide=1)
    assert [run.metrics.jobs for run in carry_out(ready)] == [5, 5, 5]
    assert left_out_words(carry_out(ready)[0]) == "left out: 1 wider than 2 GPUs"
    with pytest.raises(BadInput, match="every job of x needs more than 4 GPUs"):
        prepared(Study([Workload("x", [RecordedJob(0, 1, 5)])], SMALL, chosen(["fifo"])))


def test_the_document_is_flat_and_its_keys_carry_units():
    runs = carry_out(study(sigma=0.5, seed=3))
    told = document(study(sigma=0.5, seed=3), runs)
    assert (told["schema"], told["sigma"], told["seed"]) == (1, 0.5, 3)
    assert json.loads(json.dumps(told)) == told
    for run in told["runs"]:
        assert set(Metrics.__slots__) <= set(run)
        assert all(value is None or isinstance(value, str | int | float) for value in run.values())
        measured = [key for key, value in run.items() if isinstance(value, float)]
        assert all(key.endswith(("_s", "_ratio", "_mean")) for key in measured)


def test_estimates_are_exact_without_sigma_and_the_same_for_the_same_seed():
    jobs = [RecordedJob(0, 100, 1)] * 2000
    assert estimates(jobs, 0.0, 1) == [100] * 2000
    assert estimates(jobs, 1.0, 1) == estimates(jobs, 1.0, 1) != estimates(jobs, 1.0, 2)
    assert 90 < sorted(estimates(jobs, 1.0, 1))[1000] < 110, "as many too long as too short"
    within = sum(100 / 2.72 < estimate < 272 for estimate in estimates(jobs, 1.0, 1)) / 2000
    assert 0.66 < within < 0.71, "two of three within a factor of e"


def test_the_same_question_gives_the_same_answer_in_another_process():
    here = json.dumps(document(study(sigma=1.0), carry_out(study(sigma=1.0))))
    program = (
        "import json, sys; sys.path.insert(0, 'tests/unit/simulator'); from test_study import *;"
        "print(json.dumps(document(study(sigma=1.0), carry_out(study(sigma=1.0)))))"
    )
    for hash_seed in ("0", "1"):
        env = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."}
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == here


def test_a_mistyped_policy_is_answered_with_the_nearest():
    with pytest.raises(BadInput, match="there is no policy 'eazy'; did you mean 'easy'\\?") as caught:
        chosen(["fifo", "eazy"])
    assert caught.value.hint == "choose from fifo, easy, default, preempt"
    with pytest.raises(BadInput, match=r"there is no policy ''$"):
        chosen([""])
    assert [choice.name for choice in chosen(["easy", "fifo", "easy"])] == ["easy", "fifo"]


def test_limits_are_the_users_own_but_for_the_policy_that_is_told_estimates():
    job = RecordedJob(0, 100, 1, 500)
    limits = {name: choice.limit_of(job, 123) for name, choice in CHOICES.items()}
    assert limits == {"fifo": 500, "easy": 123, "default": 500}


def test_the_machine_is_named_by_its_nodes_or_by_its_gpus():
    assert sized(3, None, None) == Cluster(3, 8)
    assert sized(3, None, 4) == Cluster(3, 4)
    assert sized(None, 64, None) == Cluster(8, 8)
    assert sized(None, 4, None) == Cluster(1, 4)
    assert sized(None, 12, 4) == Cluster(3, 4)
    for wrong in ((None, None, 8), (2, 16, None), (None, 12, None), (None, 4, 8)):
        with pytest.raises(BadInput) as caught:
            sized(*wrong)
        assert caught.value.hint


def test_every_figure_has_a_label_and_what_is_drawn_is_better_when_less():
    assert {figure.key for figure in FIGURES} == set(Metrics.__slots__) - {"jobs", "wide_jobs"}
    assert len({figure.label for figure in FIGURES}) == len(FIGURES)
    assert "utilisation_ratio" not in {figure.key for figure in BARS}
    run = carry_out(study())[0]
    assert heading(run) == f"small: 6 jobs on 2 nodes x 2 GPUs, offered load {750 / (4 * 65):.2f}"
    assert {figure.key: figure.words(figure.value(run.metrics)) for figure in FIGURES} | {} == {
        "completion_mean_s": format_duration(935 / 6), "completion_median_s": "2m8s", "completion_p99_s": "5m20s",
        "wait_mean_s": "1m11s", "wait_median_s": "1m28s", "wait_p99_s": "2m10s", "wait_longest_s": "2m10s",
        "wide_wait_mean_s": "-", "wide_wait_longest_s": "-", "slowdown_mean_ratio": "1.0x",
        "utilisation_ratio": "53.6%", "stranded_gpus_mean": "0.46", "preemptions": "0", "makespan_s": "5m50s",
        "not_running_longest_s": "2m10s", "lost_work_ratio": "0.00%",
    }  # fmt: skip
