"""Tells how full the mounted filesystems are, without ever waiting for one that does not answer."""

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.core.samples import FilesystemSample, Lack
from dcdaemon.telemetry.kernel_file import KernelFile
from dcdaemon.telemetry.mounts import Mount, parse_mountinfo
from dcdaemon.telemetry.trend import FillTrend

_DEADLINE_S = 5.0
#: How long a reading waits for answers in all, and for one mount before another walker asks the rest.
_PATIENCE_S, _STEP_S = 0.25, 0.05
#: Each silent mount keeps a thread; so many, and no further one is asked.
_MOST_HELD = 32

Ask = Callable[[str], os.statvfs_result]
Answer = os.statvfs_result | OSError


@dataclass(slots=True)
class _Watch:
    """What is known of one mount: since when it is being asked, what it last said, and whether it is in trouble."""

    mount: Mount
    last: FilesystemSample | None = None
    queued: bool = False
    asked_s: float | None = None
    hidden: bool = False
    trouble: bool = False
    trend: FillTrend = field(default_factory=FillTrend)


class _Lane:
    """Mounts to ask and their answers; whichever thread is the `walker` asks, one mount after another."""

    def __init__(self, ask: Ask, monotonic: Callable[[], float]) -> None:
        self.todo: SimpleQueue[_Watch | None] = SimpleQueue()
        self.answers: SimpleQueue[tuple[_Watch, Answer, float]] = SimpleQueue()
        self.walker: threading.Thread | None = None
        self._ask, self._monotonic = ask, monotonic

    def start_walker(self) -> None:
        """Let a new thread go on with what is left to ask; the one that hangs ends when its mount answers."""
        self.walker = threading.Thread(target=self._walk, name="statvfs", daemon=True)
        self.walker.start()

    def _walk(self) -> None:
        while threading.current_thread() is self.walker and (watch := self.todo.get()) is not None:
            watch.asked_s = self._monotonic()
            answer: Answer
            try:
                answer = self._ask(watch.mount.point)
            except OSError as error:
                answer = error
            self.answers.put((watch, answer, time.time()))


class FilesystemProbes:
    """One lasting thread asks one mount after another; a mount that hangs keeps it, and another one asks the rest."""

    def __init__(
        self, proc: Path, tell: Tell, *, deadline_s: float = _DEADLINE_S, ask: Ask = os.statvfs,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._mountinfo = KernelFile(proc / "self/mountinfo")
        self._tell, self._deadline_s, self._monotonic = tell, deadline_s, monotonic
        self._text, self._mounts = "", list[Mount]()
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._lane = _Lane(ask, monotonic)

    def __del__(self) -> None:
        self._lane.todo.put(None)

    def read(self, at: float) -> tuple[FilesystemSample, ...]:
        """Return a sample of each filesystem within a quarter of a second, whatever the mounts do."""
        watches = self._watched()
        for watch in watches:
            if not watch.queued:
                watch.queued = True
                self._lane.todo.put(watch)
        self._gather()
        samples = [self._told(watch, at) for watch in watches if not watch.hidden]
        return tuple(sample for sample in samples if sample is not None)

    def lack(self) -> Lack | None:
        """Say why there is nothing to read."""
        return None if self._mounts else Lack("no filesystem that a job can fill is mounted")

    def _watched(self) -> list[_Watch]:
        """Return the mounts there are now; one that hangs is remembered even when it is gone, and not asked twice."""
        text = self._mountinfo.text()
        if text != self._text:
            self._text, self._mounts = text, parse_mountinfo(text)
        now = {(mount.device, mount.point): mount for mount in self._mounts}
        self._watches = {key: watch for key, watch in self._watches.items() if key in now or watch.queued}
        for key, mount in now.items():
            self._watches.setdefault(key, _Watch(mount)).mount = mount
        return [self._watches[key] for key in now]

    def _gather(self) -> None:
        """Take the answers as they come; after a step without one, another walker asks what is left."""
        until_s = time.monotonic() + _PATIENCE_S
        if self._lane.walker is None:
            self._lane.start_walker()
        while any(watch.queued for watch in self._watches.values()):
            patient = time.monotonic() < until_s
            try:
                self._take(*self._lane.answers.get(timeout=_STEP_S if patient else 0))
            except Empty:
                if self._lane.todo.empty() or self._held() >= _MOST_HELD:
                    return
                self._lane.start_walker()
                if not patient:
                    return

    def _held(self) -> int:
        """Return how many threads wait for mounts."""
        return sum(watch.asked_s is not None for watch in self._watches.values())

    def _take(self, watch: _Watch, answer: Answer, at: float) -> None:
        watch.queued, watch.asked_s = False, None
        if isinstance(answer, OSError):
            # A user's own FUSE mount is hidden from everyone else, root included: nothing is wrong with it.
            watch.hidden = answer.errno == errno.EACCES and watch.mount.fstype.startswith("fuse")
            watch.last = _unknown(watch.mount, answer.strerror or str(answer), at)
            return
        watch.hidden = False
        sample = _sample(watch.mount, answer, at)
        if sample.available_bytes is not None and not sample.read_only:
            full_in_s = watch.trend.full_in_s(self._monotonic(), sample.available_bytes)
            sample = replace(sample, full_in_s=full_in_s)
        watch.last = sample

    def _told(self, watch: _Watch, at: float) -> FilesystemSample | None:
        """Return the newest answer; an answer is good until the next one is overdue."""
        asked_s, now_s = watch.asked_s, self._monotonic()
        if asked_s is not None and now_s - asked_s >= self._deadline_s:
            watch.last = _unknown(watch.mount, f"does not answer since {now_s - asked_s:.0f} s", at)
        elif watch.queued and asked_s is None and self._held() >= _MOST_HELD:
            watch.last = _unknown(watch.mount, f"not asked: {_MOST_HELD} others do not answer", at)
        self._notice(watch, at)
        return watch.last

    def _notice(self, watch: _Watch, at: float) -> None:
        error = watch.last and watch.last.error
        if bool(error) == watch.trouble:
            return
        watch.trouble = bool(error)
        mount, kind = watch.mount, EventKind.MOUNT_SILENT if error else EventKind.MOUNT_ANSWERS
        message = f"{mount.name} ({mount.fstype}): {error or 'answers again'}"
        self._tell(Event(at, kind, mount.name, message, {"fstype": mount.fstype, "device": mount.source}))


def _sample(mount: Mount, stat: os.statvfs_result, at: float) -> FilesystemSample:
    return FilesystemSample(
        at=at,
        mount=mount.name,
        fstype=mount.fstype,
        # As df does: what only root may use counts neither as size nor as available.
        size_bytes=(stat.f_blocks - stat.f_bfree + stat.f_bavail) * stat.f_frsize,
        available_bytes=stat.f_bavail * stat.f_frsize,
        reserved_bytes=(stat.f_bfree - stat.f_bavail) * stat.f_frsize,
        files=stat.f_files or None,
        files_free=stat.f_favail if stat.f_files else None,
        read_only=mount.read_only,
        device=mount.source,
    )


def _unknown(mount: Mount, error: str, at: float) -> FilesystemSample:
    return FilesystemSample(
        at, mount.name, mount.fstype, read_only=mount.read_only, device=mount.source, error=error
    )  # fmt: skip
