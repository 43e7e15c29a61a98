"""Every few seconds: look for what is odd, and write down what begins and what ends."""

import os
from collections import deque

from dcdaemon.anomalies.picture import EndedJob, HungJob, NodePicture, Thresholds
from dcdaemon.anomalies.watch import Key, watch_from
from dcdaemon.anomalies.work import CRASHED, crash_subject
from dcdaemon.control.desk import Desk
from dcdaemon.control.hangs import Hang, HangWatch
from dcdaemon.core.errors import DcdError
from dcdaemon.core.job import ENDED, Job
from dcdaemon.core.ports import JobQuery
from dcdaemon.core.samples import FilesystemSample, GpuSample
from dcdaemon.daemon.duties.gpus import GpuDuty

_TAIL_BYTES = 8 * 1024
_TAIL_LINES = 5
#: How far back a starting daemon looks for crashes that nobody wrote down.
_LOOK_BACK_S = 86400.0


class WatchDuty:
    """Applies the anomaly rules to the node as it is now."""

    name = "watch"

    def __init__(
        self, desk: Desk, gpus: GpuDuty, thresholds: Thresholds, every_s: float, *, expected_driver: bool,
        hung_after_s: float | None = None,
    ) -> None:  # fmt: skip
        self.every_s = every_s
        self.thresholds = thresholds
        self._desk = desk
        self._gpus = gpus
        self._expected_driver = expected_driver
        self._hangs = HangWatch(desk, hung_after_s)
        self._ended: deque[Job] = deque(self._unseen_crashes())
        # A database may serve several nodes; what is open on another one is not ours to clear.
        open_now = [a for a in desk.store.anomalies(open_only=True) if a.node == desk.node]
        self._watch = watch_from(anomaly.finding for anomaly in open_now)
        self._ids: dict[Key, int] = {(a.finding.rule, a.finding.subject): a.id for a in open_now}

    def _unseen_crashes(self) -> list[Job]:
        """Return jobs whose failure an earlier daemon stored, and died before it looked at them."""
        store, since = self._desk.store, self._desk.clock.now() - _LOOK_BACK_S
        seen = {anomaly.finding.subject for anomaly in store.anomalies(since=since)}
        failed = store.jobs(JobQuery(states=CRASHED, ended_since=since, oldest_first=True))
        return [job for job in failed if job.node == self._desk.node and crash_subject(job) not in seen]

    def noted(self, job: Job) -> None:
        """Have a job that ended looked at, from any thread."""
        if job.state in ENDED and job.started_at is not None:
            self._ended.append(job)

    def tick(self) -> None:
        """Look once; what the store refuses is found again the next time."""
        desk, now = self._desk, self._desk.clock.now()
        ended = list(self._ended)
        step = self._watch.step(self._picture(now, ended))
        if step.momentary:
            desk.store.raise_anomalies(step.momentary, now, momentary=True)
        for _ in ended:
            self._ended.popleft()
        if step.raised:
            for anomaly in desk.store.raise_anomalies(step.raised, now):
                self._ids[anomaly.finding.rule, anomaly.finding.subject] = anomaly.id
        if step.cleared:
            desk.store.clear_anomalies([self._ids[key] for key in step.cleared if key in self._ids], now)
            for key in step.cleared:
                self._ids.pop(key, None)
        self._watch = step.watch

    def _picture(self, now: float, ended: list[Job]) -> NodePicture:
        reading, now_s = self._desk.board.gpus, self._desk.clock.monotonic()
        # A value that was withdrawn because it is too old decides nothing.
        fresh = (sample for sample, _ in self._desk.board.newest.fresh(now_s))
        # That nothing is known of GPUs whose driver an operator has let go of is not odd.
        released = reading.released_until is not None
        ages = {gpu.index: self._desk.board.newest.age_s((GpuSample.KIND, gpu.index), now_s) for gpu in reading.gpus}
        return NodePicture(
            at=now, monotonic_s=now_s, node=self._desk.node, expected_driver=self._expected_driver,
            driver_error=None if released else reading.driver_error, gpus=() if released else reading.gpus,
            samples={sample.gpu: sample for sample in reading.samples}, lost=reading.lost,
            sample_ages_s={gpu: age_s for gpu, age_s in ages.items() if age_s is not None},
            allocations=self._gpus.allocations(), shares=self._gpus.shares(), util_windows=self._gpus.history.windows(),
            foreign_ok=self._desk.board.foreign_ok,
            filesystems=tuple(sample for sample in fresh if isinstance(sample, FilesystemSample)),
            ended=tuple(EndedJob(job, self._tail(job)) for job in ended),
            hung=tuple(_hung(hang) for hang in self._hangs.look()), thresholds=self.thresholds,
        )  # fmt: skip

    def _tail(self, job: Job) -> tuple[str, ...]:
        """Return the last lines of a failed job's output, as evidence."""
        if job.exit_code == 0:
            return ()
        try:
            text = self._end_of_log(job)
        except (DcdError, OSError):
            return ()  # --log may name anything: no evidence, and no reason to stop watching
        return tuple(text.decode("utf-8", "replace").splitlines()[-_TAIL_LINES:])

    def _end_of_log(self, job: Job) -> bytes:
        descriptor = self._desk.engine.open_log(job, job.attempt)
        if descriptor is None:
            return b""
        try:
            end = os.fstat(descriptor).st_size
            return os.pread(descriptor, _TAIL_BYTES, max(0, end - _TAIL_BYTES))
        finally:
            os.close(descriptor)


def _hung(hang: Hang) -> HungJob:
    job = hang.job
    return HungJob(job.id, job.attempt, job.spec.user, job.spec.name, hang.silent_s, hang.ranks)
