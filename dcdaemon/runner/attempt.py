"""The directory of one attempt: what stands in it, and who may run."""

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path

from dcdaemon.runner.cgroup import Cgroup
from dcdaemon.runner.processes import Identity, boot_id, descendants, group_is_empty, leftovers, members
from dcdaemon.runner.records import (
    VERSION,
    Ended,
    ExitRecord,
    LaunchSpec,
    Leftover,
    Outcome,
    Running,
    RunRecord,
    Unclaimed,
    Vanished,
    read_exit_record,
    read_run_record,
    read_spec_boot,
    read_stop_grace_s,
    write_private,
)
from dcdaemon.runner.space import NO_SPACE, no_space

VOID = "void"

log = logging.getLogger(__name__)


class AttemptDirectory:
    """`<state_dir>/jobs/<job>/<attempt>/`: the daemon's own, but passable: two files in it are the job's.

    Each launch has one claim, a symbolic link that names the shim which took it, or says `void`. Only the
    process that makes the link may run the launch; so a launch of unknown fate is voided, and can never run
    once the link is ours.
    """

    def __init__(self, state_dir: Path, job_id: int, attempt: int) -> None:
        """Name the directory; nothing is made or read yet."""
        self.job_id = job_id
        self.attempt = attempt
        self.path = state_dir / "jobs" / str(job_id) / str(attempt)
        self.log_path = self.path / "output.log"
        self.report_path = self.path / "report.jsonl"

    def prepare(self, spec: LaunchSpec) -> None:
        """Make the directory and write down what to run; raises OSError."""
        for path in (self.path.parent.parent, self.path.parent, self.path):
            _make_passable(path)
        write_private(self.path / "spec.json", self._document(spec))

    def _document(self, spec: LaunchSpec) -> dict[str, object]:
        marks = {
            "DCD_JOB_ID": str(spec.job_id),
            "DCD_ATTEMPT": str(spec.attempt),
            "DCD_REPORT_PATH": str(self.report_path),
            "DCD_DEADLINE_PATH": str(self.path / "deadline"),
            "DCD_CHECKPOINT_PATH": str(self.path / "checkpoint"),
        }
        return {
            "version": VERSION,
            "job_id": spec.job_id,
            "attempt": spec.attempt,
            "argv": list(spec.argv),
            "cwd": spec.cwd,
            "env": {**spec.env, **marks},
            "uid": spec.uid,
            "gid": spec.gid,
            "extra_gids": list(spec.extra_gids),
            "log_path": spec.log_path,
            "limit_s": spec.limit_s,
            "grace_s": spec.grace_s,
            "umask": spec.umask,
            "checkpoint_signal": spec.checkpoint_signal,
            "checkpoint_s": spec.checkpoint_s,
            "log_limit_bytes": spec.log_limit_bytes,
            "mem_bytes": spec.mem_bytes,
            "boot_id": boot_id(),
        }

    def next_launch(self) -> int:
        """Return the number of the first launch that nobody has claimed."""
        return self._last_launch() + 1

    def void(self, launch: int) -> bool:
        """Claim a launch for nobody, so that it can never run; False when a shim was faster."""
        try:
            (self.path / f"claim.{launch}").symlink_to(VOID)
        except FileExistsError:
            return False
        except FileNotFoundError:
            return True  # no directory: no shim can have entered it, and none ever will
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            raise no_space(self.path, str(error.strerror)) from error
        return True

    def shim(self) -> Identity | None:
        """Return the shim that took the latest launch, dead or alive; None without one in this boot."""
        claim = self._last_claim()
        return _shim_of(claim) if claim else None

    def request_stop(self, signal_name: str | None, grace_s: float, cause: str) -> None:
        """Write down how to end the job; the shim reads it at SIGTERM, and before it starts the job.

        Without a signal the job is asked as it wished: first to save its work, where it takes part in checkpoints.
        """
        path = self.path / "stop.json"
        earlier_s = read_stop_grace_s(path)  # the shim may not have read it yet, and no stop may lengthen another
        grace_s = grace_s if earlier_s is None else min(grace_s, earlier_s)
        stop = {
            "version": VERSION,
            "signal": signal_name or "TERM",
            "grace_s": grace_s,
            "cause": cause,
            "ask": signal_name is None,
        }
        write_private(path, stop)

    def exit_record(self) -> ExitRecord | None:
        """Return how the attempt ended, if that is on record."""
        return read_exit_record(self.path / "exit.json")

    def run_record(self) -> RunRecord | None:
        """Return who runs or ran the attempt, if the job was ever about to start."""
        return read_run_record(self.path / "state.json")

    def outcome(self) -> Outcome:
        """Tell what became of the attempt; reads only. An end counts once shim and processes are gone."""
        ended, claim = self.exit_record(), self._last_claim()
        if claim is None or claim == VOID:
            return self._unclaimed() if ended is None else Ended(ended)
        shim = _shim_of(claim)
        if shim is None:
            return Vanished(self.run_record(), rebooted=True) if ended is None else Ended(ended)
        if shim.alive():
            return Running(self.run_record())
        return self._after_the_shim()

    def _after_the_shim(self) -> Outcome:
        ended, run = self.exit_record(), self.run_record()  # only now: both may have been the shim's last acts
        if run is None and ended is None and not (self.path / "spec.json").exists():
            return Vanished(None, rebooted=False)  # the specification goes last before the job is let run
        if run is None:
            # Without an end it died before it recorded the job, and so before it let the job run.
            return self._unclaimed() if ended is None else Ended(ended)
        if ended is not None and _surely_empty(run):
            return Ended(ended)
        living = leftovers(run, self.report_path)
        if living:
            return Leftover(run, tuple(process.pid for process in living))
        return Vanished(run, rebooted=False) if ended is None else Ended(ended)

    def _unclaimed(self) -> Unclaimed:
        return Unclaimed(ready=read_spec_boot(self.path / "spec.json") == boot_id())

    def leftovers(self) -> tuple[Identity, ...]:
        """Return the job's processes that live on without their shim; none while the shim lives."""
        run, shim = self.run_record(), self.shim()
        if run is None or shim is None or shim.alive():
            return ()
        return leftovers(run, self.report_path)

    def processes(self) -> tuple[Identity, ...]:
        """Return the processes that belong to the job now: those in its unit or below its shim, or those it left."""
        shim = self.shim()
        if shim is None or not shim.alive():
            return self.leftovers()
        group = self.cgroup()
        return descendants(shim) if group is None else tuple(one for one in members(group) if one != shim)

    def cgroup(self) -> Cgroup | None:
        """Return the control group of the job's unit; None where it has none."""
        run = self.run_record()
        return None if run is None else run.cgroup

    def _last_claim(self) -> str | None:
        launch = self._last_launch()
        return str((self.path / f"claim.{launch}").readlink()) if launch else None

    def _last_launch(self) -> int:
        try:
            names = os.listdir(self.path)  # noqa: PTH208  only names are needed, and this is on the way of every start
        except (FileNotFoundError, NotADirectoryError):
            return 0
        return max((int(name[6:]) for name in names if name.startswith("claim.") and name[6:].isdecimal()), default=0)


def _surely_empty(run: RunRecord) -> bool:
    """Tell cheaply that no process of a job is left whose end is on record; False where one has to look closely.

    A record of a shim of another user than the job's cannot be the job's own work, and its shim had seen the last
    process go.
    """
    return group_is_empty(run) and (run.cgroup is not None or run.uid != os.geteuid())


def _make_passable(path: Path) -> None:
    """Make a directory of the daemon's own; raises OSError where a link, or somebody else's, stands in its place."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o711)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "the directory belongs to somebody else", str(path))
        if stat.S_IMODE(status.st_mode) != 0o711:
            os.fchmod(descriptor, 0o711)  # whatever the daemon's umask took away, or somebody gave
    finally:
        os.close(descriptor)


def _shim_of(claim: str) -> Identity | None:
    """Parse `pid.start_ticks.boot_id`; None for a void claim and for one of another boot."""
    pid, _, rest = claim.partition(".")
    ticks, _, boot = rest.partition(".")
    if boot != boot_id():
        return None
    return Identity(int(pid), int(ticks))
