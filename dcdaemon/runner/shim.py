"""The shim: owns one launch of one job, outlives the daemon, and writes down how the job ended.

It is one file and imports only the standard library, because it is loaded by its file name, without any
package, and must stay small: one lives beside every job.
"""

# pathlib would be the largest module in here:
# ruff: noqa: PTH104, PTH110, PTH123, PTH208, PTH211

import contextlib
import ctypes
import errno
import json
import os
import pwd
import resource
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
NOT_DEFAULT = [n for n in range(1, signal.NSIG) if signal.getsignal(n) not in (signal.SIG_DFL, None)]
WATCHED = frozenset({signal.SIGCHLD, signal.SIGTERM})
KILL_AGAIN_S = 0.05
EXIT_RECORD_MAX_BYTES = 8192  # of it 500 characters of error, each up to 12 bytes as JSON
NOT_FOUND, NOT_EXECUTABLE, CANNOT_START = 127, 126, 125

LIBC = ctypes.CDLL(None, use_errno=True)
with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as _boot_id:
    BOOT_ID = _boot_id.read().strip()


def run(directory: str, launch: int) -> None:
    """Claim this launch and see its job through to its last process; return at once when it is taken."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(directory)
    os.umask(0o077)
    if not _claim(launch):
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


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot (proc(5)), or None when there is none."""
    stat = _stat(pid)
    return stat[1] if stat else None


class _Supervision:
    """The life of one launch, from the fork of the job to the exit of its last descendant."""

    def __init__(self, launch: int) -> None:
        self.launch = launch
        self.spec: dict = {}  # type: ignore[type-arg]  # importing typing would cost every shim a megabyte
        self.main_pid: int | None = None
        self.main_status: int | None = None
        self.failure_fd: int | None = None
        self.cause: str | None = None
        self.error: str | None = None
        self.started_at: float | None = None
        self.started_mono_s = 0.0
        self.limit_at: float | None = None
        self.kill_at: float | None = None

    def start(self) -> None:
        """Fork the job, record it, and only then let it run: no job ever runs without an adoption record."""
        self.spec = _read_json("spec.json")
        log_fd = _make_job_file("output.log", self.spec)
        if LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
        go_read, go_write = os.pipe()
        self.failure_fd, failure_write = os.pipe()
        os.set_blocking(self.failure_fd, False)
        self.main_pid = os.fork()
        if self.main_pid == 0:
            os.close(go_write)  # or the job would wait for its own copy when the shim dies
            _become_job(self.spec, log_fd, go_read, failure_write)
        for fd in (go_read, failure_write, log_fd):
            os.close(fd)
        os.close(_make_job_file("report.jsonl", self.spec))
        _reserve_exit_record()
        self._let_go(go_write)

    def _let_go(self, go_write: int) -> None:
        started_at = time.time()
        self._write_state(started_at)
        os.unlink("spec.json")  # noqa: PTH108  nobody needs it again, and it holds the job's environment
        if signal.sigtimedwait(WATCHED - {signal.SIGCHLD}, 0) or os.path.exists("stop.json"):
            self.cause = _read_stop(self.spec)["cause"]
            os.kill(self.main_pid or 0, signal.SIGKILL)
        else:
            self.started_at, self.started_mono_s = started_at, time.monotonic()
            limit_s = self.spec["limit_s"]
            self.limit_at = None if limit_s is None else self.started_mono_s + limit_s
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
        }
        with open("state.json.tmp", "w", encoding="ascii") as file:
            file.write(json.dumps(state))
        os.rename("state.json.tmp", "state.json")

    def watch(self) -> None:
        """Wait until no descendant is left; meanwhile obey stop requests and the time limit."""
        while self._reap():
            wake_at = min((at for at in (self.limit_at, self.kill_at) if at is not None), default=None)
            if _next_signal(wake_at) == signal.SIGTERM:
                self._stop()
            self._act_on_time(time.monotonic())

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
                self.main_status = status

    def _stop(self) -> None:
        stop = _read_stop(self.spec)
        if self.cause != "timed_out":
            self.cause = stop["cause"]  # the last word counts: a requeue that was cancelled does not run again
        self._kill_after(stop["grace_s"])
        number = getattr(signal, "SIG" + stop["signal"], signal.SIGTERM)
        if self.main_status is not None or not _signal_group(self.main_pid or 0, number):
            _signal_descendants(number)

    def _act_on_time(self, now: float) -> None:
        if self.limit_at is not None and now >= self.limit_at:
            self.limit_at = None
            self.cause = self.cause or "timed_out"
            self._kill_after(self.spec["grace_s"])
            _signal_descendants(signal.SIGTERM)
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + KILL_AGAIN_S  # a descendant may have forked meanwhile: once more, until none is left
            _signal_descendants(signal.SIGKILL)

    def _kill_after(self, grace_s: float) -> None:
        """Set the time of the kill; a second stop may bring it forward, never put it off."""
        kill_at = time.monotonic() + grace_s
        self.kill_at = kill_at if self.kill_at is None else min(self.kill_at, kill_at)

    def abandon(self, error: BaseException) -> None:
        """Kill whatever was started: a job that nobody watches must not hold a GPU."""
        self.cause, self.error = "shim_error", f"{type(error).__name__}: {error}"
        while self._reap():
            _signal_descendants(signal.SIGKILL)
            signal.sigtimedwait(WATCHED, KILL_AGAIN_S)

    def write_exit(self) -> None:
        """Write the exit record, durable before it is visible; the last act."""
        record = self._exit_record()
        blob = json.dumps(record).encode("ascii")
        fd = os.open("exit.json.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(fd, blob)
        os.ftruncate(fd, len(blob))
        os.fsync(fd)
        os.close(fd)
        os.rename("exit.json.tmp", "exit.json")

    def _exit_record(self) -> dict[str, object]:
        code, number = _decode(self.main_status) if self.started_at is not None else (None, None)
        failure = self._start_failure()
        if failure is not None:
            self.error, code, number = failure["error"], failure["exit_code"], None
        own_end = "start_failed" if failure else "exited" if number is None else "signaled"
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "version": 1,
            "job_id": self.spec.get("job_id"),
            "attempt": self.spec.get("attempt"),
            "launch": self.launch,
            "cause": self.cause or own_end,
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
        }

    def _start_failure(self) -> dict | None:  # type: ignore[type-arg]  # as above
        if self.failure_fd is None:
            return None
        try:
            text = os.read(self.failure_fd, EXIT_RECORD_MAX_BYTES)
        except BlockingIOError:
            return None
        return json.loads(text) if text else None


class _CannotStartError(Exception):
    """The job could not be started: an exit code as shells use them, the reason, and what to do."""

    def __init__(self, exit_code: int, error: str, hint: str) -> None:
        super().__init__(error)
        self.exit_code = exit_code
        self.hint = hint


def _become_job(spec: dict, log_fd: int, go_read: int, failure_write: int) -> None:  # type: ignore[type-arg]
    """Turn this forked child into the job; never returns. Every other descriptor closes itself at exec."""
    try:
        os.setsid()
        os.dup2(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), 0)
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        _restore_signals()
        _leave_oom_protection()
        os.umask(spec["umask"])
        _become_user(spec["uid"], spec["gid"])
        _enter(spec["cwd"])
        _redirect_output(spec["log_path"])
        if os.read(go_read, 1) == b"g":
            _exec(spec["argv"], spec["env"])
    except BaseException as error:  # noqa: BLE001  nothing may return into the shim's code
        _report_failure(error, failure_write)
    finally:
        os._exit(CANNOT_START)


def _restore_signals() -> None:
    """Undo what Python and the daemon's parents ignored or blocked: an exec keeps both."""
    for number in NOT_DEFAULT:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _leave_oom_protection() -> None:
    """Give up the daemon's protection from the out-of-memory killer: the job must go before the daemon."""
    path = "/proc/self/oom_score_adj"
    try:
        with open(path, encoding="ascii") as file:
            protected = int(file.read()) < 0
        if protected:
            with open(path, "w", encoding="ascii") as file:
                file.write("0")
    except OSError:
        return  # /proc is read-only in some containers; no reason to refuse the job


def _become_user(uid: int, gid: int) -> None:
    own_uid = os.geteuid()
    if own_uid == uid:
        return
    if own_uid != 0:
        raise _CannotStartError(
            CANNOT_START,
            f"a daemon of uid {own_uid} cannot run a job as uid {uid}",
            "run the daemon as root to serve several users, or submit as the user it runs as",
        )
    try:
        os.initgroups(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        os.setgroups([gid])  # a uid without a name, as containers have them
    os.setgid(gid)
    os.setuid(uid)


def _enter(cwd: str) -> None:
    try:
        os.chdir(cwd)
    except OSError as error:
        raise _CannotStartError(
            CANNOT_START,
            f"cannot enter the working directory {cwd}: {error.strerror}",
            "create it or give the job's user the right to enter it, then requeue the job",
        ) from error


def _redirect_output(log_path: str | None) -> None:
    if log_path is None:
        return
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(log_path, flags, 0o644)
    except OSError as error:
        raise _CannotStartError(
            CANNOT_START,
            f"cannot open the log {log_path}: {error.strerror}",
            "--log needs a file in an existing directory that the job's user may write to",
        ) from error
    os.dup2(fd, 1)
    os.dup2(fd, 2)


def _exec(argv: list[str], env: dict[str, str]) -> None:
    program = argv[0]
    try:
        os.execvpe(program, argv, env)  # noqa: S606  never through a shell
    except OSError as error:
        if error.errno == errno.ENOENT and "/" in program and os.path.exists(program):
            hint = "the file is there: the interpreter named in its first line (#!) is missing"
            raise _CannotStartError(NOT_FOUND, f"cannot run {program}: no such program", hint) from error
        # A directory of the PATH that this user may not enter makes "no such program" a "permission denied".
        if error.errno == errno.ENOENT or not _stands_somewhere(program, env):
            hint = "check the spelling and the PATH the job was submitted with"
            raise _CannotStartError(NOT_FOUND, f"cannot run {program}: no such program", hint) from error
        text = f"cannot run {program}: {error.strerror}"
        if error.errno in (errno.EACCES, errno.ENOEXEC):
            hint = "a script needs a first line such as #!/bin/sh, and the right to be executed (chmod +x)"
            raise _CannotStartError(NOT_EXECUTABLE, text, hint) from error
        raise _CannotStartError(CANNOT_START, text, "see execve(2) for this error") from error


def _stands_somewhere(program: str, env: dict[str, str]) -> bool:
    return "/" in program or any(os.path.exists(f"{place}/{program}") for place in os.get_exec_path(env))


def _report_failure(error: BaseException, failure_write: int) -> None:
    """Tell the user in the job's log, and the shim through its pipe, why the job did not start."""
    exit_code, text, hint = CANNOT_START, f"cannot start the job: {type(error).__name__}: {error}", None
    if isinstance(error, _CannotStartError):
        exit_code, text, hint = error.exit_code, str(error), error.hint
    document = {"exit_code": exit_code, "error": text[:500]}
    os.write(failure_write, json.dumps(document).encode("ascii"))
    lines = f"dcd: error: {text}\n" + (f"dcd: hint: {hint}\n" if hint else "")
    os.write(2, lines.encode("utf-8", "backslashreplace"))
    os._exit(exit_code)


def _claim(launch: int) -> bool:
    """Take this launch for ourselves: a symbolic link is made and filled in one step, by one process only."""
    pid = os.getpid()
    try:
        os.symlink(f"{pid}.{start_ticks(pid)}.{BOOT_ID}", f"claim.{launch}")
    except FileExistsError:
        return False
    return True


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
    fd = os.open(name, flags, 0o600)
    if spec["uid"] != os.geteuid() == 0:
        os.fchown(fd, spec["uid"], spec["gid"])
    return fd


def _reserve_exit_record() -> None:
    """Take the disk space of the exit record now: a job that fills the disk must not lose its own end."""
    with open("exit.json.tmp", "wb") as file:
        file.write(b" " * EXIT_RECORD_MAX_BYTES)


def _read_json(path: str) -> dict:  # type: ignore[type-arg]
    with open(path, encoding="utf-8") as file:
        return json.load(file)  # type: ignore[no-any-return]


def _read_stop(spec: dict) -> dict:  # type: ignore[type-arg]
    """Return what the daemon asks for; a bare SIGTERM, an administrator's say, asks for the ordinary stop."""
    stop = {"signal": "TERM", "grace_s": spec["grace_s"], "cause": "stopped"}
    try:
        return stop | _read_json("stop.json")
    except (OSError, ValueError):
        return stop


def _decode(status: int | None) -> tuple[int | None, int | None]:
    """Split a wait status into (exit code, signal number)."""
    if status is None:
        return None, None
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (None, -code)


def _signal_group(pgid: int, number: int) -> bool:
    try:
        os.killpg(pgid, number)
    except OSError:
        return False  # the child has not made its own group yet
    return True


def _signal_descendants(number: int) -> None:
    for pid, ticks in _descendants():
        _signal_process(pid, ticks, number)


def _descendants() -> list[tuple[int, int]]:
    """Return (pid, start ticks) of every process below this one."""
    children: dict[int, list[tuple[int, int]]] = {}
    for name in os.listdir("/proc"):
        stat = _stat(int(name)) if name.isdigit() else None
        if stat:
            children.setdefault(stat[0], []).append((int(name), stat[1]))
    found = children.pop(os.getpid(), [])
    for pid, _ in found:  # grows while it is walked: breadth first
        found += children.pop(pid, [])
    return found


def _signal_process(pid: int, ticks: int, number: int) -> None:
    """Signal exactly the process that was seen: the pidfd holds it, the start time proves it is that one."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if start_ticks(pid) == ticks:
            signal.pidfd_send_signal(fd, number)
    except OSError:
        return  # gone, or a set-uid program that is not ours to signal
    finally:
        os.close(fd)


def _stat(pid: int) -> tuple[int, int] | None:
    """Return (parent pid, start ticks): fields 4 and 22 of proc(5), behind the name, which holds anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[1]), int(fields[19])) if len(fields) > 19 else None


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
