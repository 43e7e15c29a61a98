"""Part of the shim: how a job is brought to its end, step by step, as docs/checkpoints.md tells it."""

# as in the shim:
# ruff: noqa: PTH104, PTH116, PTH123

import json
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dcdaemon.runner.shim_processes import signal_descendants, signal_group
else:
    from shim_processes import signal_descendants, signal_group

KILL_AGAIN_S = 0.05
#: Of the grace, what is left for TERM once the time to save is over: so much, and no more than a quarter of it.
LAST_WORDS_S = 5.0
#: What a job that has saved gets to exit by itself before TERM; and before KILL, where others wait for its room.
EXIT_WITHIN_S, LEAVE_WITHIN_S = 1.0, 10.0
MAKE_ROOM = ("preempted", "requeued")
LOOK_FIRST_S, LOOK_AT_MOST_S = 0.05, 1.0


class Ending:
    """When the job has to be told what; all times in seconds of the monotonic clock, None for never.

    A job that takes part in checkpoints is asked first and gets TERM at its deadline; any other gets TERM at once.
    `main_pid` is None once the main process has ended.
    """

    def __init__(self, spec: dict) -> None:  # type: ignore[type-arg]  # typing would cost every shim a megabyte
        self._spec = spec
        self.cause: str | None = None
        self.main_pid: int | None = None
        self._ask_at: float | None = None
        self._limit_at: float | None = None
        self._term_at: float | None = None
        self._kill_at: float | None = None
        self._look_at: float | None = None
        self._look_s = LOOK_FIRST_S
        self._asked = False
        self._answers_from = 0

    def begin(self, now: float) -> None:
        """Start the clock of the time limit."""
        limit_s, ahead_s = self._spec["limit_s"], self._spec.get("checkpoint_s")
        if limit_s is not None:
            self._limit_at = now + limit_s
            self._ask_at = None if ahead_s is None else max(now, self._limit_at - ahead_s)

    @property
    def wake_at(self) -> float | None:
        """The next moment at which `act` has something to do."""
        times = (self._ask_at, self._limit_at, self._term_at, self._kill_at, self._look_at)
        return min((at for at in times if at is not None), default=None)

    def stop(self, now: float) -> None:
        """Do what the daemon, or a bare SIGTERM, asks for."""
        stop = read_stop(self._spec)
        if self.cause != "timed_out":
            self.cause = stop["cause"]  # the last word counts: a requeue that was cancelled does not run again
        self._kill_within(now, stop["grace_s"])
        if stop["ask"] and self.cause != "timed_out" and self._takes_part():
            self._ask_first(now)
            return
        self._set_deadline(now, self._kill_at or now)
        if self.cause in MAKE_ROOM:
            self._await_answer(now)
        self._term_at = None
        number = getattr(signal, "SIG" + stop["signal"], signal.SIGTERM)
        if self.main_pid is None or not signal_group(self.main_pid, number):
            signal_descendants(number)

    def act(self, now: float) -> None:
        """Take every step whose time has come."""
        if self._ask_at is not None and now >= self._ask_at:
            self._ask_at = None
            self._ask(now, self._limit_at or now)
        if self._limit_at is not None and now >= self._limit_at:
            self._end_by_limit(now)
        if self._look_at is not None and now >= self._look_at:
            self._look(now)
        if self._term_at is not None and now >= self._term_at:
            self._term_at = None
            signal_descendants(signal.SIGTERM)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + KILL_AGAIN_S  # a descendant may have forked meanwhile: once more, until none is left
            self._look_at = None
            signal_descendants(signal.SIGKILL)

    def _end_by_limit(self, now: float) -> None:
        self._limit_at = None
        self.cause = self.cause or "timed_out"
        self._kill_within(now, self._spec["grace_s"])
        if not self._asked and self._takes_part():
            self._ask_first(now)
            return
        self._set_deadline(now, self._kill_at or now)
        self._term_at = now

    def _kill_within(self, now: float, grace_s: float) -> None:
        """Set the time of the kill; a second stop may bring it forward, never put it off."""
        self._kill_at = now + grace_s if self._kill_at is None else min(self._kill_at, now + grace_s)

    def _takes_part(self) -> bool:
        """Tell whether the job was submitted with --signal, or has asked for its deadline at least once."""
        return (
            self._spec.get("checkpoint_signal") is not None
            or self._spec.get("checkpoint_s") is not None
            or answers_size() > 0
        )

    def _ask_first(self, now: float) -> None:
        """Leave the job to save its work until shortly before the kill."""
        kill_at = now if self._kill_at is None else self._kill_at
        deadline_at = kill_at - min(LAST_WORDS_S, (kill_at - now) / 4)
        again = self._term_at is not None  # it saves already: a second signal would only disturb it
        self._term_at = deadline_at if self._term_at is None else min(self._term_at, deadline_at)
        if again:
            self._set_deadline(now, self._term_at)
        else:
            self._ask(now, self._term_at)
            self._await_answer(now)

    def _ask(self, now: float, deadline_at: float) -> None:
        self._asked = True
        self._answers_from = answers_size()
        self._set_deadline(now, deadline_at)
        number = getattr(signal, f"SIG{self._spec.get('checkpoint_signal')}", None)
        # To the main process alone: data loaders and ranks that it did not prepare would die of it.
        if number is not None and self.main_pid is not None:
            os.kill(self.main_pid, number)

    def _set_deadline(self, now: float, deadline_at: float) -> None:
        """Write down, in epoch seconds, by when the job has to be done."""
        try:
            fd = os.open("deadline.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            os.fchmod(fd, 0o644)  # whatever our umask took away: it is for the job to read
            os.write(fd, b"%.3f\n" % (time.time() + deadline_at - now))  # always as long as what was reserved
            os.close(fd)
            os.rename("deadline.tmp", "deadline")
        except OSError:
            return  # a full disk: the job has its signal

    def _await_answer(self, now: float) -> None:
        if self._look_at is None:
            self._answers_from = answers_size()
        self._look_at, self._look_s = now + LOOK_FIRST_S, LOOK_FIRST_S

    def _look(self, now: float) -> None:
        """See whether the job has told that its work is safe; what it does after that, it need not do."""
        self._look_s = min(self._look_s * 2, LOOK_AT_MOST_S)
        self._look_at = now + self._look_s
        if not has_saved(self._answers_from):
            return
        self._look_at = None
        if self._term_at is not None:
            self._term_at = min(self._term_at, now + EXIT_WITHIN_S)
        if self.cause in MAKE_ROOM:
            self._kill_within(now, LEAVE_WITHIN_S)


def read_stop(spec: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Return what the daemon asks for; a bare SIGTERM, an administrator's say, asks for the ordinary stop."""
    stop = {"signal": "TERM", "grace_s": spec["grace_s"], "cause": "stopped", "ask": True}
    try:
        with open("stop.json", encoding="utf-8") as file:
            return stop | json.load(file)  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return stop


def answers_size() -> int:
    """Return how much the job has written to its checkpoint file; it is empty while it takes no part."""
    try:
        return os.stat("checkpoint", follow_symlinks=False).st_size
    except OSError:
        return 0


def has_saved(since: int) -> bool:
    """Tell whether the job has written `saved` to its checkpoint file behind this offset."""
    try:
        fd = os.open("checkpoint", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return b"saved" in os.pread(fd, 65536, since)
    except OSError:
        return False
    finally:
        os.close(fd)
