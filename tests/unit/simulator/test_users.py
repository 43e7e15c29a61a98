"""Made-up users are the same for the same seed and tell a little of a job, not all; the learner knows only the past."""

from collections import Counter
from math import exp
from random import Random

import pytest
from recordings import JOBS, SMALL

from dcdaemon.core.job import JobState
from dcdaemon.scheduler.predict import PRIOR
from dcdaemon.simulator.choices import CHOICES
from dcdaemon.simulator.play import play
from dcdaemon.simulator.study import Study, carry_out
from dcdaemon.simulator.users import Learner, doers
from dcdaemon.simulator.workload import RecordedJob, Workload


def busy_weeks(jobs: int = 3000) -> list[RecordedJob]:
    """Return jobs of all lengths, with two kinds of GPUs."""
    chance = Random(5)  # noqa: S311  an experiment, and always the same one
    return [
        RecordedJob(300.0 * number, exp(chance.gauss(8, 1.5)), chance.choice([1, 1, 1, 8])) for number in range(jobs)
    ]


WEEKS = busy_weeks()


def errors(jobs, seed=1):
    """Let every job end after its time on a machine without an end, and return how well they were predicted."""
    learner, running = Learner(jobs, seed), []
    for number, job in enumerate(jobs):
        for end, other in sorted(running):
            if end <= job.submit_s:
                running.remove((end, other))
                learner.ended(other, jobs[other].duration_s)
        learner.predict(number)
        running.append((job.submit_s + job.duration_s, number))
    return learner.accuracy


def test_the_same_seed_makes_up_the_same_users():
    assert doers(WEEKS, 1) == doers(WEEKS, 1) != doers(WEEKS, 2)
    assert doers([], 1) == []


def test_few_users_are_busy_and_a_command_is_run_again_and_again():
    made = doers(WEEKS, 1)
    users = Counter(doer.user for doer in made).most_common()
    assert 10 < len(users) < 60
    assert users[0][1] > 5 * users[len(users) // 2][1]
    commands = Counter(made)
    assert 5 < len(made) / len(commands) < 20
    assert len({doer.command for doer in made}) == len(commands), "a command is one user's"


def test_a_command_has_its_number_of_gpus():
    kinds = {(doer, job.gpus) for doer, job in zip(doers(WEEKS, 1), WEEKS, strict=True)}
    assert len(kinds) == len({doer for doer, _ in kinds})


def test_users_that_are_named_are_taken_as_they_are():
    named = [job._replace(user="ada", command="train") for job in JOBS]
    assert set(doers(named, 1)) == {("ada", "train")}
    mixed = doers([*named, *JOBS], 1)
    assert set(mixed[: len(named)]) == {("ada", "train")}
    assert all(doer.user.startswith("user") for doer in mixed[len(named) :])


def test_whose_a_job_is_tells_a_little_and_not_too_much():
    known = errors(WEEKS)
    nobody = errors([job._replace(user="all", command="same") for job in WEEKS])
    assert known.jobs == len(WEEKS)
    assert 1.3 < known.typical_ratio < nobody.typical_ratio - 0.3


def test_nothing_is_known_of_jobs_that_run_yet():
    jobs = [RecordedJob(float(number), 50.0, 1, user="ada", command="train") for number in range(10)]
    learner = Learner(jobs, 1)
    assert [learner.predict(number) for number in range(5)] == [pytest.approx(PRIOR.run_s)] * 5
    learner.ended(0, 50.0)
    assert learner.predict(5) < PRIOR.run_s / 4


def test_its_own_time_goes_into_no_prediction():
    jobs = [RecordedJob(0, 50.0, 1, user="ada", command="train"), RecordedJob(0, 70.0, 1, user="ada", command="train")]
    predicted = []
    for duration_s in (70.0, 70_000.0):
        learner = Learner([jobs[0], jobs[1]._replace(duration_s=duration_s)], 1)
        learner.ended(0, 50.0)
        predicted.append(learner.predict(1))
    assert predicted[0] == predicted[1]


def test_how_a_job_ended_is_learned_with_it():
    cut = [
        RecordedJob(0, 50.0, 1, user="ada", command="train", state=state)
        for state in (JobState.CANCELLED, JobState.SUCCEEDED)
    ]
    for job, known in zip(cut, (False, True), strict=True):
        learner = Learner([job], 1)
        learner.ended(0, 50.0)
        assert (learner.predict(0) < PRIOR.run_s / 2) is known


class Noted(Learner):
    """A learner that notes what it was asked and told."""

    def __init__(self, jobs):
        super().__init__(jobs, 1)
        self.asked, self.told = [], []

    def predict(self, number):
        self.asked.append(number)
        return super().predict(number)

    def ended(self, number, run_s):
        self.told.append((number, run_s))
        super().ended(number, run_s)


@pytest.mark.parametrize("policy", CHOICES)
def test_a_play_asks_once_for_each_job_and_tells_each_end_once(policy):
    noted = Noted(JOBS)
    outcome = play(JOBS, noted, SMALL, CHOICES[policy])
    assert noted.asked == list(range(len(JOBS)))
    assert sorted(noted.told) == [(number, job.duration_s) for number, job in enumerate(JOBS)]
    ends = [outcome.starts_s[number] + run_s for number, run_s in noted.told]
    assert ends == sorted(ends), "in the order of the ends"


def test_each_policy_learns_for_itself_and_the_run_tells_how_well():
    study = Study([Workload("small", JOBS)], SMALL, list(CHOICES.values()), seed=3, learns=True)
    runs, again = carry_out(study), carry_out(study)
    assert [run.document() for run in runs] == [run.document() for run in again]
    assert all(run.predicted is not None and run.predicted.jobs == len(JOBS) for run in runs)
