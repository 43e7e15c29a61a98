"""What this node knows of how long jobs run: learned from each one that ends, asked for each one that is queued."""

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from dcdaemon.core.job import ENDED, Job, JobSpec, JobState
from dcdaemon.core.prediction import Accuracy, PastRun, Prediction, Source
from dcdaemon.scheduler.predict import Ask, Predictor
from dcdaemon.scheduler.predict_command import fingerprint
from dcdaemon.scheduler.predict_runs import OWN_END
from dcdaemon.scheduler.predict_score import Score

#: So many ended jobs are read again when the daemon starts.
RECALLED = 20_000
#: These took as long as they took; what others would have taken, and so how wrong the prediction was, nobody knows.
_SCORED = OWN_END | {JobState.TIMED_OUT}


class Predictions:
    """The predictor of a node and the errors it made; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._predictor = Predictor()
        self._score = Score()

    def of(self, specs: Sequence[JobSpec]) -> list[Prediction]:
        """Return how long each job is expected to run; those of an array are alike and cost nothing more."""
        asks = [_ask(spec.user, spec.argv, spec.gpus, spec.limit_s) for spec in specs]
        with self._lock:
            known = {ask: self._predictor.predict(ask) for ask in set(asks)}
        return [known[ask] for ask in asks]

    def requeued(self, job: Job, at: float) -> Job:
        """Return an ended job as it waits again, with what is expected of it now."""
        [expected] = self.of([job.spec])
        return replace(job.mark_requeued(at), predicted_s=expected.run_s, predicted_by=expected.by.value)

    def noted(self, job: Job) -> None:
        """Learn from a job that has ended; a listener of the desk."""
        if job.state in ENDED and job.run_s is not None:
            spec = job.spec
            told = (job.predicted_s, job.predicted_by)
            self.recall([PastRun(spec.user, spec.argv, spec.gpus, spec.limit_s, job.state, job.run_s, *told)])

    def recall(self, runs: Iterable[PastRun]) -> None:
        """Learn from runs of the past, the oldest first, and count again how well they were predicted."""
        for run in runs:
            ask = _ask(run.user, run.argv, run.gpus, run.limit_s)
            with self._lock:
                self._predictor.learn(ask, run.run_s, run.state)
                self._count(run)

    def accuracy(self) -> Accuracy:
        """Return how well the last predictions turned out."""
        with self._lock:
            return self._score.accuracy()

    def accuracy_by_source(self) -> dict[Source, Accuracy]:
        """Return the same for each thing that predictions are taken from."""
        with self._lock:
            return self._score.by_source()

    def _count(self, run: PastRun) -> None:
        if run.predicted_s is None or run.state not in _SCORED:
            return
        # Another version of this program may know sources that this one does not.
        with suppress(ValueError):
            self._score.add(Source(run.predicted_by or ""), run.predicted_s, run.run_s)


def _ask(user: str, argv: Sequence[str], gpus: int, limit_s: float | None) -> Ask:
    return Ask(user, fingerprint(argv), gpus, limit_s)
