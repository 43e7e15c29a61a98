"""The shim: owns one launch of one job, outlives the daemon, and writes down how the job ended.

It and its parts (`shim_*.py` beside it) import only the standard library, because they are loaded by their file
names, without any package, and must stay small: one lives beside every job.
"""

# pathlib would be the largest module in here:
# ruff: noqa: PTH100, PTH104, PTH110, PTH120, PTH123, PTH211

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from dcdaemon.runner.shim_child import become_job
    from dcdaemon.runner.shim_ending import KILL_AGAIN_S, Ending, read_stop
    from dcdaemon.runner.shim_log import LIBC, JobLog, TellingFile
    from dcdaemon.runner.shim_memory import memory_of, out_of_memory, own_cgroup
    from dcdaemon.runner.shim_processes import signal_descendants, start_ticks

    T = TypeVar("T")
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from shim_child import become_job
    from shim_ending import KILL_AGAIN_S, Ending, read_stop
    from shim_log import LIBC, JobLog, TellingFile
    from shim_memory import memory_of, out_of_memory, own_cgroup
    from shim_processes import signal_descendants, start_ticks

    del sys.path[0]

PR_SET_CHILD_SUBREAPER = 36
WATCHED = frozenset({signal.SIGCHLD, signal.SIGTERM})
EXIT_RECORD_MAX_BYTES = 8192  # of it 500 characters of error, each up to 12 bytes as JSON
DEADLINE_BYTES = 15
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
SPACE_AGAIN_S = 0.2
#: Of what a job tells: a long training's reports, and a word now and then.
TELLING_BYTES = {"report.jsonl": 64 * 1024 * 1024, "checkpoint": 1024 * 1024}

with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as _boot_id:
    BOOT_ID = _boot_id.read().strip()


def run(directory: str, launch: int) -> None:
    """Claim this launch and see its job through to its last process; return at once when it is taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(directory)
    os.umask(0o077)
    if not _with_space(lambda: _claim(launch)):
        return
    if os.getsid(0) != os.getpid():
        _leave_session()
    supervision = _Supervision(launch)
    try:
        supervision.start()
        supervision.watch()
    except BaseException as error:  # noqa: BLE001  whatever happens, the end must be on record
        supervision.abandon(error)
    supervision.write_exit()


class _Supervision:
    """The life of one launch, from the fork of the job to the exit of its last descendant."""

    def __init__(self, launch: int) -> None:
        self.launch = launch
        self.spec: dict = {}  # type: ignore[type-arg]  # importing typing would cost every shim a megabyte
        self.ending = Ending(self.spec)
        self.log = JobLog(-1, None)
        self.told: list[TellingFile] = []
        self.cgroup: dict | None = None  # type: ignore[type-arg]  # as above
        self.main_pid: int | None = None
        self.main_status: int | None = None
        self.failure_fd: int | None = None
        self.error: str | None = None
        self.started_at: float | None = None
        self.started_mono_s = 0.0

    def start(self) -> None:
        """Fork the job, record it, and only then let it run: no job ever runs without an adoption record."""
        self.spec = _read_json("spec.json")
        self.ending = Ending(self.spec)
        self.cgroup = own_cgroup(self.spec["job_id"])
        log_fd = _make_job_file("output.log", self.spec)
        self.log = JobLog(log_fd, self.spec.get("log_limit_bytes"))
        if LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
        go_read, go_write = os.pipe()
        self.failure_fd, failure_write = os.pipe()
        os.set_blocking(self.failure_fd, False)
        self.main_pid = self.ending.main_pid = os.fork()
        if self.main_pid == 0:
            os.close(go_write)  # or the job would wait for its own copy when the shim dies
            become_job(self.spec, log_fd, go_read, failure_write)
        for fd in (go_read, failure_write):
            os.close(fd)
        for name, limit_bytes in TELLING_BYTES.items():
            self.told.append(TellingFile(_make_job_file(name, self.spec), limit_bytes))
        _with_space(_reserve_records)
        self._let_go(go_write)

    def _let_go(self, go_write: int) -> None:
        started_at = time.time()
        _with_space(lambda: self._write_state(started_at))
        os.unlink("spec.json")  # noqa: PTH108  nobody needs it again, and it holds the job's environment
        if signal.sigtimedwait(WATCHED - {signal.SIGCHLD}, 0) or os.path.exists("stop.json"):
            self.ending.cause = read_stop(self.spec)["cause"]
            os.kill(self.main_pid or 0, signal.SIGKILL)
        else:
            self.started_at, self.started_mono_s = started_at, time.monotonic()
            self.ending.begin(self.started_mono_s)
            with contextlib.suppress(BrokenPipeError):  # the child failed before it asked; its error is on its way
                os.write(go_write, b"g")
        os.close(go_write)

    def _write_state(self, started_at: float) -> None:
        state = {
            "version": 1,
            "job_id": self.spec["job_id"],
            "attempt": self.spec["attempt"],
            "launch": self.launch,
            "shim_pid": os.getpid(),
            "shim_start_ticks": start_ticks(os.getpid()),
            "pid": self.main_pid,
            "pid_start_ticks": start_ticks(self.main_pid or 0),
            "uid": self.spec["uid"],
            "boot_id": BOOT_ID,
            "started_at": started_at,
            "cgroup": self.cgroup,
        }
        with open("state.json.tmp", "w", encoding="ascii") as file:
            file.write(json.dumps(state))
        os.rename("state.json.tmp", "state.json")

    def watch(self) -> None:
        """Wait until no descendant is left; meanwhile obey stop requests and the time limit, and bound files."""
        while self._reap():
            looks = (self.ending.wake_at, self.log.look_at, *(file.look_at for file in self.told))
            wake_at = min((at for at in looks if at is not None), default=None)
            if _next_signal(wake_at) == signal.SIGTERM:
                self.ending.stop(time.monotonic())
            now = time.monotonic()
            self.ending.act(now)
            self.log.look(now)
            for file in self.told:
                file.look(now)
        self.log.look(time.monotonic(), last=True)

    def _reap(self) -> bool:
        """Collect every ended child; tell whether any is left: a subreaper without any has no descendants."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.main_pid:
                self.main_status, self.ending.main_pid = status, None

    def abandon(self, error: BaseException) -> None:
        """Kill whatever was started: a job that nobody watches must not hold a GPU."""
        self.ending.cause, self.error = "shim_error", f"{type(error).__name__}: {error}"
        if self.spec and os.path.exists("stop.json"):
            self.ending.cause, self.error = read_stop(self.spec)["cause"], None
        while self._reap():
            signal_descendants(signal.SIGKILL)
            signal.sigtimedwait(WATCHED, KILL_AGAIN_S)

    def write_exit(self) -> None:
        """Take the job's files, and write the exit record, durable before it is visible; the last act."""
        for file in self.told:
            file.take()
        blob = json.dumps(self._exit_record()).encode("ascii")
        _with_space(lambda: _write_durably("exit.json", blob), stoppable=False)

    def _exit_record(self) -> dict[str, object]:
        code, number = _decode(self.main_status) if self.started_at is not None else (None, None)
        failure = self._start_failure()
        if failure is not None:
            self.error, code, number = failure["error"], failure["exit_code"], None
        own_end = "start_failed" if failure else "exited" if number is None else "signaled"
        memory = memory_of(self.cgroup, self.spec.get("mem_bytes", 0))
        starved = out_of_memory(memory, code, number) if self.ending.cause is None and not failure else None
        if starved:
            self.error, own_end = starved, "out_of_memory"
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "version": 1,
            "job_id": self.spec.get("job_id"),
            "attempt": self.spec.get("attempt"),
            "launch": self.launch,
            "cause": self.ending.cause or own_end,
            "exit_code": code,
            "signal": number,
            "started_at": self.started_at,
            "ended_at": time.time(),
            "run_s": None if self.started_at is None else time.monotonic() - self.started_mono_s,
            "error": None if self.error is None else self.error[:500],
            "rusage": {
                "user_cpu_s": usage.ru_utime,
                "system_cpu_s": usage.ru_stime,
                "max_rss_bytes": usage.ru_maxrss * 1024,
            },
            "memory": memory,
        }

    def _start_failure(self) -> dict | None:  # type: ignore[type-arg]  # as above
        if self.failure_fd is None:
            return None
        try:
            text = os.read(self.failure_fd, EXIT_RECORD_MAX_BYTES)
        except BlockingIOError:
            return None
        return json.loads(text) if text else None


def _claim(launch: int) -> bool:
    """Take this launch for ourselves: a symbolic link is made and filled in one step, by one process only."""
    pid = os.getpid()
    try:
        os.symlink(f"{pid}.{start_ticks(pid)}.{BOOT_ID}", f"claim.{launch}")
    except FileExistsError:
        return False
    return True


def _with_space(step: "Callable[[], T]", *, stoppable: bool = True) -> "T":
    """Do a step, again and again while the disk is full: what has not begun can wait, unless it is asked to end."""
    while True:
        try:
            return step()
        except OSError as error:
            if error.errno not in NO_SPACE or (stoppable and _asked_to_end()):
                raise
        time.sleep(SPACE_AGAIN_S)


def _asked_to_end() -> bool:
    return signal.SIGTERM in signal.sigpending() or os.path.exists("stop.json")


def _leave_session() -> None:
    try:
        os.setsid()
    except PermissionError:
        return  # started by hand as the leader of a process group: that is session enough


def _next_signal(wake_at: float | None) -> int | None:
    """Sleep until a watched signal arrives and return it, or None when the monotonic time has come."""
    if wake_at is None:
        return signal.sigwaitinfo(WATCHED).si_signo
    event = signal.sigtimedwait(WATCHED, max(0.0, wake_at - time.monotonic()))
    return event.si_signo if event else None


def _make_job_file(name: str, spec: dict) -> int:  # type: ignore[type-arg]
    """Create a file that the job's user owns in a directory where he can replace nothing."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = _with_space(lambda: os.open(name, flags, 0o600))
    if spec["uid"] != os.geteuid() == 0:
        os.fchown(fd, spec["uid"], spec["gid"])
    return fd


def _reserve_records() -> None:
    """Take the disk space of what is written at the end: a job that fills the disk must not lose its own end."""
    for name, size in (("exit.json.tmp", EXIT_RECORD_MAX_BYTES), ("deadline.tmp", DEADLINE_BYTES)):
        with open(name, "wb") as file:
            file.write(b" " * size)


def _write_durably(name: str, blob: bytes) -> None:
    """Write a record into the space that was taken for it, and put it in place once it is on the disk."""
    fd = os.open(name + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(blob)
        file.truncate()
        file.flush()
        os.fsync(fd)
    os.rename(name + ".tmp", name)


def _read_json(path: str) -> dict:  # type: ignore[type-arg]
    with open(path, encoding="utf-8") as file:
        return json.load(file)  # type: ignore[no-any-return]


def _decode(status: int | None) -> tuple[int | None, int | None]:
    """Split a wait status into (exit code, signal number)."""
    if status is None:
        return None, None
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (None, -code)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
