"""How long a job is expected to run, what that is taken from, and how well it turned out."""

from enum import StrEnum
from typing import NamedTuple

from dcdaemon.core.job import JobState


class Source(StrEnum):
    """What a prediction is mostly taken from."""

    LIMIT = "limit"
    HISTORY = "history"
    PRIOR = "prior"


class ExpectedStart(NamedTuple):
    """When a job is expected to start, and between which times in four cases of five; epoch seconds."""

    at: float
    low_at: float
    high_at: float


class Prediction(NamedTuple):
    """The run time that a job exceeds in one case of two, in seconds.

    `sigma` is the spread of its natural logarithm: two of three jobs run for as long, give or take a factor of e to the
    power of it. `start` is foretold where the job waits for nothing but room.
    """

    run_s: float
    by: Source
    sigma: float
    start: ExpectedStart | None = None


class PastRun(NamedTuple):
    """An attempt that is over: whose, of which command, how it ended and after what time, and what was predicted."""

    user: str
    argv: tuple[str, ...]
    gpus: int
    limit_s: float | None
    state: JobState
    run_s: float
    predicted_s: float | None = None
    predicted_by: str | None = None


class PastPeak(NamedTuple):
    """A run on one GPU or a share of one that ended well: of which command, and what it held of the memory at most."""

    argv: tuple[str, ...]
    mem_peak_bytes: int


class Accuracy(NamedTuple):
    """How well predictions turned out: for every second job the true time was within a factor of `typical_ratio`.

    `within_2x_ratio` is the share of jobs, 0 to 1, whose prediction was neither more than twice the truth nor less than
    half of it; `longer_ratio` the share that ran longer than predicted. None without jobs.
    """

    jobs: int
    typical_ratio: float | None = None
    within_2x_ratio: float | None = None
    longer_ratio: float | None = None
