"""The launcher: starts, watches, adopts and stops jobs, each exactly once."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dcdaemon.core.errors import Refused, StartFailed
from dcdaemon.core.ports import Held
from dcdaemon.runner import cgroup
from dcdaemon.runner.attempt import AttemptDirectory
from dcdaemon.runner.memory import held_bytes
from dcdaemon.runner.processes import Identity
from dcdaemon.runner.records import LaunchSpec, Leftover, Outcome, Running, Unclaimed
from dcdaemon.runner.space import NO_SPACE, check_space, no_space
from dcdaemon.runner.spawner import FateUnknownError, Launched, ShimSpawner, Spawner
from dcdaemon.runner.watcher import Watcher

STATE_WITHIN_S = 2.0
LOOK_AGAIN_S = 0.005

log = logging.getLogger(__name__)


class Launcher:
    """Runs attempts through shims that outlive it; every method may be called from any thread.

    `on_exit(job_id, attempt)` comes from the launcher's own thread when the shim, or a watched leftover, has
    ended; `adopt` then tells what became of the attempt, and goes on watching what may still live.
    """

    def __init__(
        self, state_dir: Path, on_exit: Callable[[int, int], None], spawner: ShimSpawner | None = None
    ) -> None:
        """Prepare; nothing runs before `start`. Shims come from a fork-server unless somebody else starts them."""
        self._state_dir = state_dir.absolute()
        self._spawner: ShimSpawner = spawner or Spawner()
        self._watcher = Watcher(on_exit)
        self._launching = threading.Lock()
        self._stopping = threading.Lock()

    def start(self) -> None:
        """Start the spawner and the watcher; raises StartFailed."""
        self._spawner.start()
        self._watcher.start()

    def close(self) -> None:
        """Stop watching and end the fork-server; shims and jobs are left alone."""
        self._watcher.close()
        with self._launching:
            self._spawner.close()

    @property
    def fork_server_pid(self) -> int | None:
        """The fork-server's pid, to account for its memory; None when there is none."""
        return self._spawner.pid

    def check_space(self) -> None:
        """Raise StoreUnavailable while there is no room for the files of one more attempt."""
        check_space(self._state_dir)

    def attempt(self, job_id: int, attempt: int) -> AttemptDirectory:
        """Return the directory of an attempt, which tells where its log and its report are."""
        return AttemptDirectory(self._state_dir, job_id, attempt)

    def launch(self, spec: LaunchSpec) -> Launched:
        """Start an attempt that has not run yet; raises StartFailed, or Refused when it has or may have.

        Raises StoreUnavailable when there is no room for its files: it can be launched once there is.
        """
        key = spec.job_id, spec.attempt
        attempt = self.attempt(*key)
        with self._launching:
            if self._watcher.watches(key) or not isinstance(attempt.outcome(), Unclaimed):
                raise Refused(
                    f"attempt {spec.attempt} of job {spec.job_id} has been started already",
                    f"dcd show {spec.job_id} tells what became of it; requeue the job for a new attempt",
                )
            _check(spec)
            _prepare(attempt, spec)
            launched = self._spawn(attempt, spec)
            self._watcher.watch(key, _identity(launched))
        return launched

    def _spawn(self, attempt: AttemptDirectory, spec: LaunchSpec) -> Launched:
        for _ in range(self._spawner.tries):
            launch = attempt.next_launch()
            try:
                return self._spawner.spawn(attempt.path, launch, spec)
            except FateUnknownError as error:
                trouble = error
            shim = None if attempt.void(launch) else attempt.shim()
            if shim is not None:
                return Launched(shim.pid, shim.start_ticks)
            log.warning(
                "launch of job %d repeated: %s",
                attempt.job_id,
                trouble,
                extra={"action": "launch_repeated"},
            )
        raise StartFailed(
            f"cannot start job {attempt.job_id}: it was tried {self._spawner.tries} times: {trouble}",
            "look for a killed or crashing process in the journal: journalctl -b -p warning",
        )

    def outcome(self, job_id: int, attempt: int) -> Outcome:
        """Tell what became of an attempt; reads only. A shim on its way to its claim counts as running."""
        outcome = self.attempt(job_id, attempt).outcome()
        on_its_way = isinstance(outcome, Unclaimed) and self._watcher.watches((job_id, attempt))
        return Running(None) if on_its_way else outcome

    def adopt(self, job_id: int, attempt: int) -> Outcome:
        """Tell what became of an attempt and watch what lives of it.

        An unclaimed attempt is voided first: once this returns Unclaimed, no earlier request can run it any
        more, and the attempt may be launched. A shim that has just begun gets two seconds to record the job.
        """
        if self._watcher.watches((job_id, attempt)):
            return self.outcome(job_id, attempt)
        directory = self.attempt(job_id, attempt)
        outcome = directory.outcome()
        if isinstance(outcome, Unclaimed) and not directory.void(directory.next_launch()):
            outcome = directory.outcome()
        outcome = _settled(directory, outcome)
        if isinstance(outcome, Running):
            self._watcher.watch((job_id, attempt), directory.shim())
        elif isinstance(outcome, Leftover):
            self._watcher.watch((job_id, attempt), next(iter(directory.leftovers()), None))
        return outcome

    def stop(self, job_id: int, attempt: int, signal_name: str | None, grace_s: float, cause: str) -> bool:
        """Ask the shim to end the job: the named signal ("INT") now, SIGKILL to all of it after `grace_s`.

        None for the ordinary way: a job that takes part in checkpoints may save its work, any other gets SIGTERM.
        A later call may shorten the grace. False when no shim is left to obey (see `kill_leftovers`).
        """
        directory = self.attempt(job_id, attempt)
        if not directory.path.is_dir():
            return False
        with self._stopping:
            _ask_to_stop(directory, signal_name, grace_s, cause)
        shim = directory.shim()
        if shim is not None:
            told = shim.send(signal.SIGTERM)
            shim.send(signal.SIGCONT)  # a job of the daemon's own user can have stopped its shim: no way to live on
            return told
        # A shim on its way to its claim looks for the request before it lets the job run.
        return self._watcher.watches((job_id, attempt))

    def forget(self, job_id: int, attempt: int) -> None:
        """Stop watching an attempt."""
        self._watcher.forget((job_id, attempt))

    def pids(self, job_id: int, attempt: int) -> tuple[int, ...]:
        """Return the pids that belong to an attempt now, daemonised ones included, shim or no shim."""
        return tuple(process.pid for process in self.attempt(job_id, attempt).processes())

    def held(self, job_id: int, attempt: int, worth_bytes: float) -> Held | None:
        """Return the memory that an attempt holds, exactly from `worth_bytes` on; None when that cannot be told."""
        directory = self.attempt(job_id, attempt)
        group = directory.cgroup()
        place = None if group is None else group.directory()
        if group is not None:
            found = None if place is None else cgroup.held_bytes(place)
        else:
            found = held_bytes((process.pid for process in directory.processes()), worth_bytes)
        return None if found is None else Held(found, fenced=group is not None)

    def leftover_pids(self, job_id: int, attempt: int) -> tuple[int, ...]:
        """Return the pids of a job's processes that live on without their shim."""
        return tuple(process.pid for process in self.attempt(job_id, attempt).leftovers())

    def kill_leftovers(self, job_id: int, attempt: int, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal every process that lives on without its shim; return how many there were.

        They may fork meanwhile: call again on the next `on_exit`, until `adopt` finds none.
        """
        return sum(process.send(number) for process in self.attempt(job_id, attempt).leftovers())


def _check(spec: LaunchSpec) -> None:
    if not spec.argv:
        raise StartFailed(f"cannot start job {spec.job_id}: its command is empty", "submit it with a command")


def _prepare(attempt: AttemptDirectory, spec: LaunchSpec) -> None:
    try:
        attempt.prepare(spec)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise no_space(attempt.path, str(error.strerror)) from error
        raise StartFailed(
            f"cannot start job {spec.job_id}: cannot write to {attempt.path}: {error.strerror}",
            "free space there, or check that the state directory exists and belongs to the daemon's user",
        ) from error


def _ask_to_stop(directory: AttemptDirectory, signal_name: str | None, grace_s: float, cause: str) -> None:
    try:
        directory.request_stop(signal_name, grace_s, cause)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        # Without a request its shim takes the signal for the ordinary stop, or for the one it was asked for before.
        log.warning(
            "job %d is stopped in the ordinary way: %s",
            directory.job_id,
            error,
            extra={"action": "stop_without_request"},
        )


def _identity(launched: Launched) -> Identity | None:
    if launched.shim_start_ticks is None:
        return None
    return Identity(launched.shim_pid, launched.shim_start_ticks)


def _settled(directory: AttemptDirectory, outcome: Outcome) -> Outcome:
    """Wait for the job of a shim that has claimed its launch, and has not recorded the job yet."""
    deadline = time.monotonic() + STATE_WITHIN_S
    while isinstance(outcome, Running) and outcome.record is None and time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN_S)
        outcome = directory.outcome()
    return outcome
