"""Who ran the jobs of a recording, and what the daemon's own predictor would have learned from them by then.

Public traces name nobody, so users and commands are made up. A command has the GPUs and the usual run time of some job
of the trace, belongs to a user, and is in use for a while. Each job is then given to one of the commands in use that
take as many GPUs: rather to one whose usual time is near its own, but now and then to any of them.
"""

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from math import exp, log, sqrt
from typing import NamedTuple

from dcdaemon.core.prediction import Accuracy
from dcdaemon.scheduler.predict import Ask, Predictor
from dcdaemon.scheduler.predict_runs import SHORTEST_S
from dcdaemon.scheduler.predict_score import Score
from dcdaemon.simulator.workload import RecordedJob

#: A command is run so often on average, while so many other jobs come.
_RUNS, _IN_USE_JOBS = 12, 600
#: The spread of the logarithm of a command's run times: a factor of two. And how likely a job of quite another length
#: is to be one of its runs, against a job of its usual length: a crash, a trial, a change.
_SPREAD, _STRANGE = 0.3, 0.02


class Told:
    """Estimates that were there beforehand."""

    def __init__(self, estimates_s: Sequence[float]) -> None:
        self._estimates_s = estimates_s

    def predict(self, number: int) -> float:
        """Return the estimate for the job of this number, in seconds."""
        return self._estimates_s[number]

    def ended(self, number: int, run_s: float) -> None:
        """Learn nothing."""


class Doer(NamedTuple):
    """Whose a job is, and which of their commands."""

    user: str
    command: str


class Learner:
    """Predicts the jobs of one play as they are submitted, from those that have ended by then."""

    def __init__(self, jobs: Sequence[RecordedJob], seed: int) -> None:
        self._jobs = jobs
        self._doers = doers(jobs, seed)
        self._predictor = Predictor()
        self._score = Score(kept=None)

    def predict(self, number: int) -> float:
        """Return how long the job of this number is expected to run, in seconds; its own time is only for the score."""
        expected = self._predictor.predict(self._ask(number))
        self._score.add(expected.by, expected.run_s, self._jobs[number].duration_s)
        return expected.run_s

    def ended(self, number: int, run_s: float) -> None:
        """Learn from a job that has ended."""
        self._predictor.learn(self._ask(number), run_s, self._jobs[number].state)

    @property
    def accuracy(self) -> Accuracy:
        """How well its predictions turned out."""
        return self._score.accuracy()

    def _ask(self, number: int) -> Ask:
        job, doer = self._jobs[number], self._doers[number]
        return Ask(doer.user, doer.command, job.gpus, job.limit_s)


def doers(jobs: Sequence[RecordedJob], seed: int) -> list[Doer]:
    """Return who ran each job: as recorded, and made up where nobody is named; the same ones for the same seed."""
    if all(job.user for job in jobs):
        return [Doer(job.user, job.command) for job in jobs]
    made_up = _Office(jobs, seed)
    return [
        Doer(job.user, job.command) if job.user else made_up.doer_of(number, job) for number, job in enumerate(jobs)
    ]


class _Command(NamedTuple):
    doer: Doer
    usual: float
    weight: float
    used_until: float

    def likelihood(self, length: float) -> float:
        """Return how likely it is that a job of this length, a logarithm, is one of its runs."""
        return self.weight * (_STRANGE + exp(-((length - self.usual) ** 2) / (2 * _SPREAD**2)))


class _Office:
    """Made-up users, and the commands they have in use; asked for the jobs of a recording one after the other."""

    def __init__(self, jobs: Sequence[RecordedJob], seed: int) -> None:
        self._jobs = jobs
        self._chance = random.Random(seed)  # noqa: S311  an experiment, and the same one for the same seed
        # Few are busy and many are not: the second submits half as much as the first, the third a third (Zipf).
        people = max(3, round(sqrt(len(jobs)) / 2))
        self._shares = list(accumulate(1 / (rank + 1) for rank in range(people)))
        births = (len(jobs) + _IN_USE_JOBS) // _RUNS
        born = sorted((self._chance.uniform(-_IN_USE_JOBS, len(jobs)) for _ in range(births)), reverse=True)
        self._born = born
        self._in_use: dict[int, list[_Command]] = {}
        self._made = 0

    def doer_of(self, number: int, job: RecordedJob) -> Doer:
        """Return who ran this job."""
        while self._born and self._born[-1] <= number:
            self._make(self._born.pop())
        commands = [command for command in self._in_use.get(job.gpus, ()) if command.used_until > number]
        commands = commands or [self._make(number)]
        self._in_use[job.gpus] = commands
        length = _length(job)
        return self._chance.choices(commands, [command.likelihood(length) for command in commands])[0].doer

    def _make(self, at: float) -> _Command:
        """Make a command that comes into use now; those in use before the first job take after one of the first."""
        if at < 0:
            at = self._chance.uniform(0, min(_IN_USE_JOBS, len(self._jobs)))
        usual = self._jobs[min(int(at), len(self._jobs) - 1)]
        rank = bisect(self._shares, self._chance.uniform(0, self._shares[-1]))
        self._made += 1
        command = _Command(
            Doer(f"user{rank + 1}", f"command{self._made}"), _length(usual), self._chance.expovariate(1),
            at + self._chance.expovariate(1 / _IN_USE_JOBS),
        )  # fmt: skip
        self._in_use.setdefault(usual.gpus, []).append(command)
        return command


def _length(job: RecordedJob) -> float:
    return log(max(job.duration_s, SHORTEST_S))
