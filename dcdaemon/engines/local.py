"""The local engine: every attempt under a shim of its own, in a unit of its own where systemd runs the machine."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dcdaemon.core.errors import NotFound, Refused, StartFailed
from dcdaemon.core.job import Job
from dcdaemon.core.log_path import log_path
from dcdaemon.core.ports import Alive, Ended, Held, Leftover, Outcome, Report, Started, StartOrder, Unlaunched, Vanished
from dcdaemon.core.vitals import Vitals
from dcdaemon.engines.report_line import report_of
from dcdaemon.runner import records
from dcdaemon.runner.gpu_group import gpu_gid
from dcdaemon.runner.isolation import NONE, SHIM, UNIT, Isolation
from dcdaemon.runner.launch import Launcher
from dcdaemon.runner.logs import open_log
from dcdaemon.runner.processes import identify, job_of_unit, parents
from dcdaemon.runner.ranks import torchrun_command
from dcdaemon.runner.records import LaunchSpec
from dcdaemon.runner.reports import read_reports, report_size
from dcdaemon.runner.spawner import NoSpawner, ShimSpawner, Spawner
from dcdaemon.runner.units_spawner import UnitSpawner
from dcdaemon.runner.vitals import rank_vitals

#: A launch that never got as far as the job is tried again, but not for ever.
MOST_LAUNCHES = 5


class LocalEngine:
    """Runs jobs through the launcher; `on_end(job_id, attempt)` comes from the launcher's thread."""

    name = "local"

    def __init__(
        self,
        state_dir: Path,
        on_end: Callable[[int, int], None],
        log_limit_bytes: int | None = None,
        isolation: Isolation | None = None,
        more_devices: Sequence[str] = (),
    ) -> None:
        """Keep the attempts in `state_dir`; without an isolation jobs have their shims alone."""
        self.isolation = isolation or Isolation(SHIM)
        self._launcher = Launcher(state_dir, on_end, _spawner(self.isolation, more_devices))
        self._log_limit_bytes = log_limit_bytes

    def open(self) -> None:
        """Be ready to start shims, and watch them."""
        self._launcher.start()

    def close(self) -> None:
        """Let go of everything; jobs go on."""
        self._launcher.close()

    def check_space(self) -> None:
        """Raise StoreUnavailable while the state directory has no room for the files of one more attempt."""
        self._launcher.check_space()

    def start(self, order: StartOrder) -> Started:
        """Run the attempt; raise StartFailed when it cannot even be tried."""
        job, spec = order.job, order.job.spec
        if self._launcher.attempt(job.id, job.attempt).next_launch() > MOST_LAUNCHES:
            raise StartFailed(
                f"attempt {job.attempt} of job {job.id} died {MOST_LAUNCHES} times before it began",
                "look for a killed or crashing python in the kernel log: journalctl -k",
            )
        launched = self._launcher.launch(
            LaunchSpec(
                job_id=job.id, attempt=job.attempt, argv=_command(order), cwd=spec.cwd, env=order.env, uid=spec.uid,
                gid=spec.gid, log_path=log_path(job), limit_s=spec.limit_s, grace_s=spec.grace_s,
                checkpoint_signal=spec.checkpoint_signal, checkpoint_s=spec.checkpoint_s,
                log_limit_bytes=self._log_limit_bytes, cpus=spec.cpus, mem_bytes=spec.mem_bytes,
                gpu_minors=order.gpu_minors, gpu_instance=job.gpu_instance, extra_gids=_gpu_groups(order),
            )
        )  # fmt: skip
        return Started(launched.shim_pid, time.time())

    def stop(self, job: Job, signal: str | None, grace_s: float, cause: str) -> None:
        """Ask the attempt to end; processes that outlived their shim are killed."""
        if not self._launcher.stop(job.id, job.attempt, signal, grace_s, cause):
            self._launcher.kill_leftovers(job.id, job.attempt)

    def outcome(self, job: Job) -> Outcome:
        """Tell what became of the attempt."""
        return _outcome(self._launcher.outcome(job.id, job.attempt), job)

    def adopt(self, job: Job) -> Outcome:
        """Take over an attempt of an earlier daemon; void it when it was never claimed."""
        return _outcome(self._launcher.adopt(job.id, job.attempt), job)

    def pids(self, job: Job) -> tuple[int, ...]:
        """List the processes that belong to the attempt now."""
        return self._launcher.pids(job.id, job.attempt)

    def held(self, job: Job, worth_bytes: float) -> Held | None:
        """Return the memory that the attempt holds: by its unit's control group, or by its processes."""
        return self._launcher.held(job.id, job.attempt, worth_bytes)

    def vitals(self, job: Job) -> Vitals:
        """Tell how much the attempt has written so far, and what its processes do."""
        try:
            log = self.open_log(job, job.attempt)
        except Refused:
            log = None  # --log may name anything: what cannot be read is no sign of life
        written = _size(log) + report_size(self._launcher.attempt(job.id, job.attempt).path)
        _close(log)
        return Vitals(written, rank_vitals(self.pids(job)))

    def owners(self, pids: Iterable[int], jobs: Iterable[Job]) -> dict[int, int]:
        """Map each process below a job's shim, or in its unit, to the job; any other costs a look at whole jobs."""
        jobs = list(jobs)
        ids = {job.id for job in jobs}
        by_shim = {job.pid: job for job in jobs if job.pid is not None}
        found: dict[int, int] = {}
        unknown: list[int] = []
        for pid in pids:
            above = ((by_shim[parent], parent) for parent in parents(pid) if parent in by_shim)
            owner = next((job.id for job, parent in above if self._is_shim(job, parent)), None)
            unit = job_of_unit(pid, self.isolation.cgroup) if owner is None else None
            owner = unit if unit in ids else owner
            if owner is None:
                unknown.append(pid)
            else:
                found[pid] = owner
        if unknown:
            of_jobs = {pid: job.id for job in jobs for pid in self.pids(job)}
            found |= {pid: of_jobs[pid] for pid in unknown if pid in of_jobs}
        return found

    def _is_shim(self, job: Job, pid: int) -> bool:
        """Tell whether the process is the job's shim still, and not another one that was given its pid."""
        shim = self._launcher.attempt(job.id, job.attempt).shim()
        return shim is not None and shim == identify(pid)

    def reports(self, job: Job, offset: int) -> tuple[list[Report], int]:
        """Return what the attempt reported past `offset` of its report file, and the new offset."""
        documents, offset = read_reports(self._launcher.attempt(job.id, job.attempt).path, offset)
        parsed = [report_of(job, document) for document in documents]
        return [report for report in parsed if report is not None], offset

    def open_log(self, job: Job, attempt: int) -> int | None:
        """Open the attempt's log: its own one, but the default one while only that tells why it did not start."""
        path, uid = log_path(job), job.spec.uid
        default = self._launcher.attempt(job.id, attempt).path / "output.log"
        if path is None:
            return _open(default, uid)
        own, refusal = _tried(Path(path), uid)
        if _size(own):
            return own
        said, _ = _tried(default, uid)
        if _size(said):
            _close(own)
            return said
        _close(said)
        if refusal is not None:
            raise refusal
        return own


def _spawner(isolation: Isolation, more_devices: Sequence[str]) -> ShimSpawner:
    if isolation.name == UNIT:
        return UnitSpawner(isolation, more_devices)
    return NoSpawner(isolation.reasons) if isolation.name == NONE else Spawner()


def _gpu_groups(order: StartOrder) -> tuple[int, ...]:
    """Return the group that opens the GPUs' nodes, for a job that was given some; none where they are open to all."""
    gid = gpu_gid() if order.gpu_minors else None
    return () if gid is None else (gid,)


def _command(order: StartOrder) -> tuple[str, ...]:
    job, spec = order.job, order.job.spec
    if spec.launcher is None or order.port is None:
        return spec.argv
    ranks = spec.ranks or max(1, len(job.gpus))
    return torchrun_command(spec.argv, ranks, order.port, f"dcd-{job.id}.{job.attempt}")


def _open(path: Path, owner_uid: int) -> int | None:
    try:
        return open_log(path, owner_uid)
    except NotFound:
        return None


def _tried(path: Path, owner_uid: int) -> tuple[int | None, Refused | None]:
    try:
        return _open(path, owner_uid), None
    except Refused as error:
        return None, error


def _size(descriptor: int | None) -> int:
    """Return the size of an open log, 0 without one and where a file server has lost it."""
    try:
        return 0 if descriptor is None else os.fstat(descriptor).st_size
    except OSError:
        return 0


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _outcome(outcome: records.Outcome, job: Job) -> Outcome:
    match outcome:
        case records.Ended(record):
            return Ended(
                record.cause, record.exit_code, record.signal, record.started_at, record.ended_at, record.run_s,
                record.error,
            )  # fmt: skip
        case records.Running(record):
            return Alive(record.shim_pid if record else job.pid or 0, record.started_at if record else time.time())
        case records.Unclaimed(ready):
            return Unlaunched(ready)
        case records.Leftover(record, pids):
            return Leftover(pids, record.started_at)
        case records.Vanished(record, rebooted):
            return Vanished(rebooted, record.started_at if record else None)
