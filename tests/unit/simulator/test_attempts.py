"""Schedules worked out by hand in which jobs are stopped and started again.

Stopping takes 30 s, coming back 60 s, and work is saved every 30 minutes. All run times are known exactly.
"""

import pytest
from recordings import Seen

from dcdaemon.core.plan import Part, Start
from dcdaemon.simulator.choices import ALL, CHOICES, chosen
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.metrics import measure
from dcdaemon.simulator.play import play
from dcdaemon.simulator.workload import RecordedJob

ONE = Cluster(1, 1)
HOUR = 3600.0


def played(jobs, cluster=ONE, witness=None):
    return play(jobs, [job.duration_s for job in jobs], cluster, ALL["preempt"], witness=witness)


def test_a_short_job_takes_the_place_of_a_long_one_which_goes_on_from_its_checkpoint():
    outcome = played([RecordedJob(0, 10 * HOUR, 1), RecordedJob(HOUR, 600, 1)])
    assert outcome.starts_s == [0, HOUR + 30]
    # Stopped with two checkpoints and nothing beside them: 30 s to stop, 600 s for the other, 60 s to come back.
    assert outcome.again_s == [690, 0]
    assert (outcome.preemptions, outcome.lost_gpu_s) == (1, 0)
    assert outcome.makespan_s == 10 * HOUR + 690
    # The GPU is never idle: both jobs, the stop and the restart.
    assert outcome.busy_gpu_s == 10 * HOUR + 690
    figures = measure(outcome)
    assert (figures.wait_longest_s, figures.not_running_longest_s, figures.lost_work_ratio) == (30, 690, 0)
    assert figures.completion_mean_s == (10 * HOUR + 690 + 630) / 2


def test_work_since_the_last_checkpoint_is_lost_and_done_again():
    outcome = played([RecordedJob(0, 10 * HOUR, 1), RecordedJob(HOUR + 200, 600, 1)])
    assert outcome.starts_s == [0, HOUR + 230]
    assert outcome.again_s == [30 + 600 + 60 + 200, 0]
    assert outcome.lost_gpu_s == 200
    assert measure(outcome).lost_work_ratio == pytest.approx(200 / (10 * HOUR + 890))


@pytest.mark.parametrize(
    ("late_s", "duration_s", "why"),
    [
        (HOUR + 301, 600, "more than five minutes of work would be lost"),
        (1700, 600, "it has not run for half an hour"),
        (HOUR, 8 * HOUR, "what is left of the running job is not much longer"),
    ],
)
def test_a_job_waits_when_a_swap_is_not_worth_it(late_s, duration_s, why):
    assert played([RecordedJob(0, 10 * HOUR, 1), RecordedJob(late_s, duration_s, 1)]).starts_s == [0, 10 * HOUR], why


def test_an_overdue_job_is_let_in_whatever_it_costs():
    jobs = [RecordedJob(0, 100 * HOUR, 1), RecordedJob(2300, 600, 1), RecordedJob(6000, 100, 1)]
    outcome = played(jobs)
    # At 6000 job 1 has waited for more than an hour; job 0 has three checkpoints and loses 600 s. Job 2 is next.
    assert outcome.starts_s == [0, 6030, 6630]
    assert outcome.again_s == [30 + 600 + 100 + 60 + 600, 0, 0]
    assert outcome.lost_gpu_s == 600


def test_gpus_that_a_swap_frees_beside_are_free_once_the_job_has_stopped():
    seen = Seen([])
    jobs = [RecordedJob(0, 10 * HOUR, 2), RecordedJob(HOUR, 600, 1), RecordedJob(HOUR, 700, 1)]
    outcome = played(jobs, Cluster(1, 2), seen)
    assert seen.starts == [
        (0, Start(0, "n1", (0, 1))),
        (HOUR + 30, Start(1, "n1", (0,))),
        (HOUR + 30, Start(2, "n1", (1,))),
        (HOUR + 730, Start(0, "n1", (0, 1))),
    ]
    assert outcome.again_s == [30 + 700 + 60, 0, 0]
    assert outcome.busy_gpu_s == 2 * (10 * HOUR + 30 + 60) + 600 + 700


def test_a_gang_gets_whole_nodes_from_all_that_run_there():
    seen = Seen([])
    jobs = [RecordedJob(0, 10 * HOUR, 2), RecordedJob(0, 10 * HOUR, 2), RecordedJob(HOUR, 600, 4)]
    outcome = played(jobs, Cluster(2, 2), seen)
    assert seen.starts[2] == (HOUR + 30, Start(2, "n1", (0, 1), also=(Part("n2", (0, 1)),)))
    assert (outcome.preemptions, outcome.again_s) == (2, [690, 690, 0])


def test_the_policy_is_named_but_not_compared_unless_it_is_asked_for():
    assert [choice.name for choice in chosen(["preempt"])] == ["preempt"]
    assert "preempt" not in CHOICES
    assert all(choice.policy.swaps is None for choice in CHOICES.values())


def test_no_start_is_foretold_where_jobs_are_stopped():
    with pytest.raises(ValueError, match="not foretold"):
        play([RecordedJob(0, 1, 1)], [1.0], ONE, ALL["preempt"], forecasts=True)
