"""A schedule worked out by hand for each policy, and what it is judged by.

Two nodes with two GPUs. At 0 job 0 takes a GPU of n1 and job 1 all of n2. Job 2 comes at 10, needs both nodes, and can
start at 100, when job 0 ends.
"""

import pytest
from recordings import JOBS, SMALL, Seen

from dcdaemon.core.plan import Part, Start
from dcdaemon.simulator.choices import CHOICES
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.metrics import measure, percentile
from dcdaemon.simulator.play import play
from dcdaemon.simulator.workload import RecordedJob

EXACT = [job.duration_s for job in JOBS]


def played(policy, jobs=JOBS, cluster=SMALL, estimates_s=None):
    return play(jobs, estimates_s or [job.duration_s for job in jobs], cluster, CHOICES[policy])


@pytest.mark.parametrize(
    ("policy", "starts_s"),
    [
        # Nobody passes job 2; it ends at 150, and then there is room for all.
        ("fifo", [0, 0, 100, 150, 150, 150]),
        # Job 3 is over at 90 and job 5 at 95, before job 2 starts at 100; job 4 would not be.
        ("easy", [0, 0, 100, 20, 150, 65]),
        # All of one class of length: the fewer GPUs go first, and no guess of five minutes ends before job 2's start.
        ("default", [0, 0, 260, 20, 60, 100]),
    ],
)
def test_each_policy_starts_the_jobs_when_it_has_to(policy, starts_s):
    assert played(policy).starts_s == starts_s


def test_gangs_take_whole_nodes_and_small_jobs_fill_nodes_up():
    seen = Seen([])
    play(JOBS, EXACT, SMALL, CHOICES["easy"], witness=seen)
    assert seen.starts == [
        (0, Start(0, "n1", (0,))),
        (0, Start(1, "n2", (0, 1))),
        (20, Start(3, "n1", (1,), backfilled=True)),
        (65, Start(5, "n2", (0, 1), backfilled=True)),
        (100, Start(2, "n1", (0, 1), also=(Part("n2", (0, 1)),))),
        (150, Start(4, "n1", (0,))),
    ]


def test_the_figures_of_the_schedule_are_those_worked_out_by_hand():
    figures = measure(played("fifo"))
    # Waits 0, 0, 90, 130, 120, 85; completions 100, 60, 140, 200, 320, 115.
    assert figures.jobs == 6
    assert figures.wait_mean_s == pytest.approx(425 / 6)
    assert figures.wait_median_s == 87.5
    assert (figures.wait_p99_s, figures.wait_longest_s) == (130, 130)
    assert figures.completion_mean_s == pytest.approx(935 / 6)
    assert figures.completion_median_s == 127.5
    assert figures.completion_p99_s == 320
    assert figures.makespan_s == 350
    # 100 + 120 + 200 + 70 + 200 + 60 GPU-seconds of work on 4 GPUs.
    assert figures.utilisation_ratio == pytest.approx(750 / (4 * 350))
    # From 20 to 60 one idle GPU is enough for job 3, from 60 to 100 there are three.
    assert figures.stranded_gpus_mean == pytest.approx((40 + 3 * 40) / 350)
    assert figures.slowdown_mean_ratio == 1.0, "no job took longer than the ten minutes that count at least"
    assert (figures.wide_jobs, figures.wide_wait_mean_s, figures.wide_wait_longest_s) == (0, None, None)
    assert figures.preemptions == 0


def test_wide_jobs_and_slowdown_are_told():
    jobs = [RecordedJob(0, 1200, 8), RecordedJob(0, 600, 16), RecordedJob(100, 1200, 16), RecordedJob(200, 60, 8)]
    figures = measure(played("fifo", jobs, Cluster(2, 8)))
    # The gangs start at 1200 and 1800, the last job at 3000.
    assert (figures.wide_jobs, figures.wide_wait_mean_s, figures.wide_wait_longest_s) == (2, 1450, 1700)
    slowdowns = [1200 / 1200, 1800 / 600, 2900 / 1200, 2860 / 600]
    assert figures.slowdown_mean_ratio == pytest.approx(sum(slowdowns) / 4)


def test_a_gang_wastes_what_it_does_not_need_of_its_last_node():
    outcome = played("fifo", [RecordedJob(0, 10, 3), RecordedJob(0, 10, 1)])
    assert outcome.starts_s == [0, 10]
    assert outcome.busy_gpu_s == 4 * 10 + 1 * 10
    assert outcome.stranded_gpu_s == 0


def test_estimates_that_are_too_short_make_easy_late_but_lose_nobody():
    outcome = played("easy", estimates_s=[10, 10, 10, 10, 10, 10])
    # Job 0 is past its estimate from 10 on: job 2 is expected at every moment, so nobody passes it.
    assert outcome.starts_s == [0, 0, 100, 150, 150, 150]


def test_one_moment_has_no_utilisation():
    figures = measure(played("fifo", [RecordedJob(5, 0, 1), RecordedJob(5, 0, 1)]))
    assert (figures.makespan_s, figures.utilisation_ratio, figures.stranded_gpus_mean) == (0, None, None)


def test_jobs_that_end_and_come_at_the_same_moment_find_the_gpus_free():
    assert played("fifo", [RecordedJob(0, 10, 4), RecordedJob(10, 5, 4)]).starts_s == [0, 10]


def test_progress_is_told_of_every_job_once():
    told = []
    jobs = [RecordedJob(float(number), 1.5, 1) for number in range(1203)]
    play(jobs, [1.5] * len(jobs), Cluster(1, 1), CHOICES["fifo"], progress=told.append)
    assert sum(told) == 1203
    assert len(told) == 3


def test_a_job_that_no_node_could_hold_is_a_mistake_of_the_caller_and_no_endless_loop():
    with pytest.raises(RuntimeError, match="1 jobs wait and nothing is going to happen"):
        played("fifo", [RecordedJob(0, 1, 5)])


def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed():
    assert percentile(range(1, 101), 0.99) == 99
    assert percentile(range(1, 102), 0.99) == 100
    assert percentile([7.0], 0.99) == 7.0
