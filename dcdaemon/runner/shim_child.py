"""Part of the shim: what the forked child does to become the job, and how it tells that it could not."""

# as in the shim:
# ruff: noqa: PTH110, PTH123

import errno
import json
import os
import pwd
import signal

NOT_DEFAULT = [n for n in range(1, signal.NSIG) if signal.getsignal(n) not in (signal.SIG_DFL, None)]
NOT_FOUND, NOT_EXECUTABLE, CANNOT_START = 127, 126, 125


class _CannotStartError(Exception):
    """The job could not be started: an exit code as shells use them, the reason, and what to do."""

    def __init__(self, exit_code: int, error: str, hint: str) -> None:
        super().__init__(error)
        self.exit_code = exit_code
        self.hint = hint


def become_job(spec: dict, log_fd: int, go_read: int, failure_write: int) -> None:  # type: ignore[type-arg]
    """Turn this forked child into the job; never returns. Every other descriptor closes itself at exec."""
    try:
        os.setsid()
        os.dup2(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), 0)
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        _restore_signals()
        _leave_oom_protection()
        os.umask(spec["umask"])
        _become_user(spec["uid"], spec["gid"], spec.get("extra_gids") or [])
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


def _become_user(uid: int, gid: int, extra_gids: list[int]) -> None:
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
    if extra_gids:
        os.setgroups([*os.getgroups(), *extra_gids])  # the one that opens the GPUs' device nodes, where they are closed
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
