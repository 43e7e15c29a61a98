"""A play can foretell each start as its job comes; that changes nothing about what happens."""

import random

import pytest
from recordings import JOBS, SMALL

from dcdaemon.scheduler.start_time_score import StartScore, Told
from dcdaemon.simulator.choices import CHOICES
from dcdaemon.simulator.cluster import Cluster
from dcdaemon.simulator.play import Outcome, play
from dcdaemon.simulator.workload import RecordedJob


def foretold(jobs: list[RecordedJob], cluster: Cluster, policy: str = "default") -> Outcome:
    return play(jobs, [job.duration_s for job in jobs], cluster, CHOICES[policy], forecasts=True)


@pytest.mark.parametrize("policy", CHOICES)
def test_what_is_foretold_changes_nothing(policy):
    plain = play(JOBS, [job.duration_s for job in JOBS], SMALL, CHOICES[policy])
    told = foretold(JOBS, SMALL, policy)
    assert told.starts_s == plain.starts_s
    assert not plain.forecasts
    assert len(told.forecasts) == len(JOBS)


def test_who_finds_room_is_told_so_and_who_does_not_is_not():
    at_once = [told.at == told.made_at for told in foretold(JOBS, SMALL).forecasts if told is not None]
    # The third needs both nodes.
    assert at_once[:3] == [True, True, False]


def test_on_a_steady_load_four_starts_of_five_lie_within_their_times():
    chance, at = random.Random(7), 0.0  # noqa: S311  the same each time
    jobs = []
    for _ in range(3000):
        at += chance.expovariate(1 / 300)
        jobs.append(RecordedJob(at, chance.lognormvariate(7, 1.5), chance.choice([1, 1, 1, 2, 4])))
    outcome, score = foretold(jobs, Cluster(3, 8)), StartScore(kept=None)
    for number, (start_s, told) in enumerate(zip(outcome.starts_s, outcome.forecasts, strict=True)):
        assert told is not None
        if start_s - told.made_at > 60.0:
            score.started(number, Told(told.made_at, told.low_at, told.at, told.high_at), start_s)
    accuracy = score.accuracy()
    assert accuracy.jobs > 300
    assert accuracy.within_ratio is not None
    assert 0.7 < accuracy.within_ratio < 0.95
