"""The directory of one attempt: what stands in it, and who may run."""

import logging
import os
from pathlib import Path

from dcdaemon.runner.processes import Identity, boot_id, descendants, leftovers
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
    read_stop_grace_s,
    write_private,
)

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
            "log_path": spec.log_path,
            "limit_s": spec.limit_s,
            "grace_s": spec.grace_s,
            "umask": spec.umask,
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
        return True

    def shim(self) -> Identity | None:
        """Return the shim that took the latest launch, dead or alive; None without one in this boot."""
        claim = self._last_claim()
        return _shim_of(claim) if claim else None

    def request_stop(self, signal_name: str, grace_s: float, cause: str) -> None:
        """Write down how to end the job; the shim reads it at SIGTERM, and before it starts the job."""
        path = self.path / "stop.json"
        earlier_s = read_stop_grace_s(path)  # the shim may not have read it yet, and no stop may lengthen another
        grace_s = grace_s if earlier_s is None else min(grace_s, earlier_s)
        stop = {"version": VERSION, "signal": signal_name, "grace_s": grace_s, "cause": cause}
        write_private(path, stop)

    def exit_record(self) -> ExitRecord | None:
        """Return how the attempt ended, if that is on record."""
        return read_exit_record(self.path / "exit.json")

    def run_record(self) -> RunRecord | None:
        """Return who runs or ran the attempt, if the job was ever about to start."""
        return read_run_record(self.path / "state.json")

    def outcome(self) -> Outcome:
        """Tell what became of the attempt; reads only."""
        ended = self.exit_record()
        if ended is not None:
            return Ended(ended)
        claim = self._last_claim()
        if claim is None or claim == VOID:
            return Unclaimed()
        shim = _shim_of(claim)
        if shim is None:
            return Vanished(self.run_record(), rebooted=True)
        if shim.alive():
            return Running(self.run_record())
        return self._after_the_shim()

    def _after_the_shim(self) -> Outcome:
        ended = self.exit_record()  # once more: it may have been the shim's last act since we looked
        if ended is not None:
            return Ended(ended)
        run = self.run_record()
        if run is None:
            return Unclaimed()  # it died before it recorded the job, and so before it let the job run
        living = leftovers(run, self.report_path)
        return Leftover(run, tuple(process.pid for process in living)) if living else Vanished(run, rebooted=False)

    def leftovers(self) -> tuple[Identity, ...]:
        """Return the job's processes that live on without their shim; none while the shim lives."""
        run, shim = self.run_record(), self.shim()
        if run is None or shim is None or shim.alive():
            return ()
        return leftovers(run, self.report_path)

    def processes(self) -> tuple[Identity, ...]:
        """Return the processes that belong to the job now: those below its shim, or those it left."""
        shim = self.shim()
        if shim is not None and shim.alive():
            return descendants(shim)
        return self.leftovers()

    def _last_claim(self) -> str | None:
        launch = self._last_launch()
        return str((self.path / f"claim.{launch}").readlink()) if launch else None

    def _last_launch(self) -> int:
        try:
            names = os.listdir(self.path)  # noqa: PTH208  only names are needed, and this is on the way of every start
        except (FileNotFoundError, NotADirectoryError):
            return 0
        return max((int(name[6:]) for name in names if name.startswith("claim.") and name[6:].isdecimal()), default=0)


def _make_passable(path: Path) -> None:
    try:
        path.mkdir(mode=0o711)
    except FileExistsError:
        return
    path.chmod(0o711)  # whatever the daemon's umask took away


def _shim_of(claim: str) -> Identity | None:
    """Parse `pid.start_ticks.boot_id`; None for a void claim and for one of another boot."""
    pid, _, rest = claim.partition(".")
    ticks, _, boot = rest.partition(".")
    if boot != boot_id():
        return None
    return Identity(int(pid), int(ticks))
