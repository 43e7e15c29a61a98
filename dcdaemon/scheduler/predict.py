"""How long a job will run, learned from the runs of the past: from those most like it, as far as there are any.

What is expected of any job is corrected by what everybody runs, by jobs with as many GPUs, by this user's, by this
user's with as many GPUs, by the limit if one is given, and last by the runs of the same command. Each of these levels
moves the prediction towards its own median, the further the more runs it has seen.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from dcdaemon.core.job import JobState
from dcdaemon.core.prediction import Prediction, Source
from dcdaemon.scheduler.predict_runs import SHORTEST_S, Known, Run, Runs, run_of

#: What is expected of a job when nothing is known: two hours, and anything from a quarter of an hour to fifteen hours.
PRIOR = Prediction(7200.0, Source.PRIOR, 2.0)
#: What people use of the limit they give when nothing is known of them: a third, give or take a factor of three.
USED_OF_LIMIT, _USED_SIGMA = 1 / 3, 1.1
#: So many runs of the same command weigh as much as all else that is known, and so many runs of other commands.
HALF_WAY, HALF_WAY_OTHERS = 1.0, 8.0
#: So many kinds of runs are remembered; of more, those are forgotten that were not run or queued for the longest time.
MOST_KINDS = 10_000

Kind = tuple[str | int, ...]


class Ask(NamedTuple):
    """What is known of a job before it runs: whose it is, its command's fingerprint, its GPUs and its limit."""

    user: str
    command: str
    gpus: int
    limit_s: float | None = None


class Predictor:
    """Learns from each run that is over, and predicts the next; the work for each does not grow with their number."""

    def __init__(self, most_kinds: int = MOST_KINDS) -> None:
        self._lengths = _Memory(most_kinds)
        self._used = _Memory(most_kinds)

    def __len__(self) -> int:
        """How many kinds of runs are remembered."""
        return len(self._lengths) + len(self._used)

    def learn(self, ask: Ask, run_s: float, state: JobState = JobState.SUCCEEDED) -> None:
        """Take in how long a job ran, and how it ended."""
        run = run_of(run_s, state)
        command, with_gpus = _narrow(ask)
        times = self._lengths.add(command, run)
        self._lengths.add(with_gpus, run)
        # A sweep of a hundred runs is one thing that a user does, not a hundred: its first run counts for the broader
        # levels, then its second, fourth, eighth.
        if times & (times - 1):
            return
        for kind in _broad(ask):
            self._lengths.add(kind, run)
        if ask.limit_s:
            for kind in _limit(ask):
                self._used.add(kind, run._replace(log=run.log - math.log(ask.limit_s)))

    def predict(self, ask: Ask) -> Prediction:
        """Return how long the job is expected to run; never longer than its limit."""
        belief = self._through(_broad(ask), _Belief(math.log(PRIOR.run_s), PRIOR.sigma**2), HALF_WAY_OTHERS)
        if ask.limit_s:
            belief = self._by_limit(belief, ask, ask.limit_s)
        belief = self._through(_narrow(ask), belief, HALF_WAY)
        run_s = max(SHORTEST_S, math.exp(belief.log))
        if ask.limit_s and run_s >= ask.limit_s:
            return Prediction(ask.limit_s, Source.LIMIT, math.sqrt(belief.variance))
        return Prediction(run_s, belief.source, math.sqrt(belief.variance))

    def _through(self, kinds: Iterator[Kind], belief: "_Belief", half_way: float) -> "_Belief":
        for kind in kinds:
            known = self._lengths.known(kind)
            belief = belief if known is None else belief.corrected(known, half_way)
        return belief

    def _by_limit(self, belief: "_Belief", ask: Ask, limit_s: float) -> "_Belief":
        """Correct by the limit, and by what this user, or else everybody, usually uses of it."""
        used, runs = _Belief(math.log(USED_OF_LIMIT), _USED_SIGMA**2), 0.0
        for kind in _limit(ask):
            known = self._used.known(kind)
            if known is not None:
                used, runs = used.corrected(known, HALF_WAY_OTHERS), known.weight
        likely = Known(math.log(limit_s) + used.log, math.sqrt(used.variance), HALF_WAY_OTHERS + runs)
        return belief.corrected(likely, HALF_WAY_OTHERS, by_limit=True)


class _Belief(NamedTuple):
    """What is thought of the logarithm of a run time so far, and which share of it came from where."""

    log: float
    variance: float
    of_history: float = 0.0
    of_limit: float = 0.0

    @property
    def source(self) -> Source:
        """Where most of it came from."""
        of_prior = 1 - self.of_limit - self.of_history
        shares = ((self.of_limit, Source.LIMIT), (self.of_history, Source.HISTORY), (of_prior, Source.PRIOR))
        return max(shares, key=lambda share: share[0])[1]

    def corrected(self, known: Known, half_way: float, *, by_limit: bool = False) -> "_Belief":
        """Return it moved towards what is known, as far as that has runs behind it: a mixture of the two."""
        share, off = known.weight / (known.weight + half_way), known.log - self.log
        if known.at_least and off <= 0:
            return self
        # The spread of a few runs says as little as their median.
        variance = (1 - share**2) * self.variance + (share * known.sigma) ** 2 + share * (1 - share) * off**2
        of_history, of_limit = (1 - share) * self.of_history, (1 - share) * self.of_limit
        if by_limit:
            return _Belief(self.log + share * off, variance, of_history, of_limit + share)
        return _Belief(self.log + share * off, variance, of_history + share, of_limit)


class _Memory:
    """The last runs of each kind, of a bounded number of kinds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: OrderedDict[Kind, Runs] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, kind: Kind, run: Run) -> int:
        """Take in a run; return how many of its kind there were, with this one."""
        runs = self._runs.setdefault(kind, Runs())
        runs.add(run)
        self._runs.move_to_end(kind)
        if len(self._runs) > self._most:
            self._runs.popitem(last=False)
        return runs.count

    def known(self, kind: Kind) -> Known | None:
        runs = self._runs.get(kind)
        if runs is None:
            return None
        self._runs.move_to_end(kind)
        return runs.known


def _broad(ask: Ask) -> Iterator[Kind]:
    """Yield the kinds of runs that the job is one of, whatever it does."""
    yield ("everybody",)
    yield ("gpus", ask.gpus)
    yield ("user", ask.user)
    yield ("user, gpus", ask.user, ask.gpus)


def _narrow(ask: Ask) -> Iterator[Kind]:
    """Yield the kinds of runs that do the same."""
    yield ("command", ask.user, ask.command)
    yield ("command, gpus", ask.user, ask.command, ask.gpus)


def _limit(ask: Ask) -> Iterator[Kind]:
    yield ("everybody",)
    yield ("user", ask.user)
