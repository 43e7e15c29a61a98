"""The watcher: one thread that sleeps until a watched process ends, and says whose it was."""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable

from dcdaemon.runner.processes import Identity

Key = tuple[int, int]

log = logging.getLogger(__name__)


class Watcher:
    """Calls `on_end(job_id, attempt)` from its own thread, once for every watched process that ends."""

    def __init__(self, on_end: Callable[[int, int], None]) -> None:
        """Prepare; nothing is watched before `start`."""
        self._on_end = on_end
        self._lock = threading.Lock()
        self._fd_of: dict[Key, int] = {}
        self._key_of: dict[int, Key] = {}
        self._gone: deque[Key] = deque()
        self._retired: list[int] = []
        self._closing = False
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="runner-watcher", daemon=True)

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def watch(self, key: Key, process: Identity | None) -> None:
        """Watch the process for this attempt, in place of any other; None stands for one that is gone."""
        fd = process.open_pidfd() if process else None
        with self._lock:
            if self._closing:
                if fd is not None:
                    os.close(fd)
                return
            self._drop(key)
            if fd is None:
                self._gone.append(key)
            else:
                self._fd_of[key], self._key_of[fd] = fd, key
                self._epoll.register(fd, select.EPOLLIN)
            self._wake()

    def watches(self, key: Key) -> bool:
        """Tell whether a process is watched for this attempt."""
        with self._lock:
            return key in self._fd_of

    def forget(self, key: Key) -> None:
        """Watch this attempt no longer."""
        with self._lock:
            if self._drop(key):
                self._wake()

    def close(self) -> None:
        """Stop waiting; the watched processes are left alone."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock:
            for fd in list(self._key_of):
                self._retire(fd)
            for fd in [*self._retired, self._wake_fd]:
                os.close(fd)
            self._retired.clear()
            self._epoll.close()

    def _run(self) -> None:
        while not self._closing:
            for key in self._ended(self._epoll.poll()):
                try:
                    self._on_end(*key)
                except Exception:
                    # One attempt's trouble must not hide the end of all the others.
                    log.exception("end of job %d not handled", key[0], extra={"action": "job_end_not_handled"})

    def _ended(self, events: list[tuple[int, int]]) -> list[Key]:
        with self._lock:
            ended = []
            for fd, _ in events:
                if fd == self._wake_fd:
                    os.eventfd_read(fd)
                elif fd in self._key_of:
                    ended.append(self._key_of[fd])
                    self._retire(fd)
            ended += self._gone
            self._gone.clear()
            # Only here: a number closed earlier could be given out again while it still stands in `events`.
            for fd in self._retired:
                os.close(fd)
            self._retired.clear()
            return ended

    def _drop(self, key: Key) -> bool:
        fd = self._fd_of.get(key)
        if fd is not None:
            self._retire(fd)
        return fd is not None

    def _retire(self, fd: int) -> None:
        self._epoll.unregister(fd)
        del self._fd_of[self._key_of.pop(fd)]
        self._retired.append(fd)

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)
