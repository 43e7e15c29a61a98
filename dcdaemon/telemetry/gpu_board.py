"""What is known of the GPUs from the telemetry child's lines; too old a reading is withdrawn."""

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from dcdaemon.core.gpu import GpuInfo, GpuProcess
from dcdaemon.core.samples import GpuReading, GpuSample

Describe = Callable[[int, int | None], GpuProcess | None]
Processes = dict[str, tuple[GpuProcess, ...] | None]
_LOST = frozenset({"lost", "reset required"})


class GpuBoard:
    """Filled by one thread, read by any; times are monotonic seconds, which parent and child share."""

    def __init__(self, fresh_s: float, deadline_s: float, describe: Describe) -> None:
        self._fresh_s, self._deadline_s, self._describe = fresh_s, deadline_s, describe
        self._lock = threading.Lock()
        self._infos: dict[int, GpuInfo] = {}
        self._samples: dict[int, GpuSample] = {}
        self._processes: dict[int, tuple[GpuProcess, ...] | None] = {}
        self._dropped: dict[int, int] = {}
        self._heard_s: dict[int, float] = {}
        self._spoke_s = 0.0
        self._answered_s: float | None = None
        self._driver_version: str | None = None
        self._trouble: str | None = None
        self.absent = False

    def new_child(self, now_s: float) -> None:
        """Begin to listen to a fresh child."""
        with self._lock:
            self._heard_s.clear()
            self._spoke_s = now_s
            self._answered_s = now_s if self._answered_s is None else self._answered_s
            self.absent = False

    def hear(self, line: bytes, now_s: float) -> None:
        """Take in one line; raise ValueError, KeyError or TypeError for one the child cannot have meant."""
        message = json.loads(line)
        # Looked up before the lock is taken: /proc can be slow, and a reader must not wait for it.
        news = {"processes": self._described(message["processes"])} if "processes" in message else {}
        with self._lock:
            self._spoke_s = now_s
            if "sample" in message:
                self._take_sample(message, news, now_s)
            elif "info" in message:
                info = GpuInfo(**message["info"])
                self._infos[info.index] = info
            elif "hello" in message:
                self._take_hello(message["hello"], now_s)
            else:
                self._trouble, self.absent = message["driver_error"], True

    def blame(self, trouble: str) -> None:
        """Remember why there is no news; the next sample wipes it out."""
        with self._lock:
            self._trouble = trouble

    def silence_s(self, now_s: float) -> tuple[float, float]:
        """Return for how long the child as a whole, and its most silent GPU, said nothing."""
        with self._lock:
            return now_s - self._spoke_s, now_s - min(self._heard_s.values(), default=self._spoke_s)

    @property
    def dropped(self) -> int:
        """How many implausible values were dropped, by the children that live now."""
        with self._lock:
            return sum(self._dropped.values())

    def known(self) -> bool:
        """Return whether every GPU has introduced itself, or it is clear that none will."""
        with self._lock:
            return self._trouble is not None or (bool(self._heard_s) and self._heard_s.keys() <= self._samples.keys())

    def reading(self, now_s: float) -> GpuReading:
        """Return what is known, without the samples that are too old to be true."""
        with self._lock:
            fresh = [s for _, s in sorted(self._samples.items()) if now_s - s.monotonic_s <= self._fresh_s]
            return GpuReading(
                gpus=tuple(info for _, info in sorted(self._infos.items())),
                samples=tuple(fresh),
                driver_version=self._driver_version,
                driver_error=self._driver_error(now_s),
                lost=frozenset(s.gpu for s in self._samples.values() if s.error in _LOST),
            )

    def _driver_error(self, now_s: float) -> str | None:
        if self._trouble or self._answered_s is None:
            return self._trouble
        silence_s = now_s - self._answered_s
        return f"the driver does not answer since {silence_s:.0f} s" if silence_s > self._deadline_s else None

    def _take_hello(self, hello: dict[str, Any], now_s: float) -> None:
        self._driver_version = hello["driver_version"]
        self._heard_s = dict.fromkeys(range(hello["count"]), now_s)
        self._processes.clear()
        for known in (self._infos, self._samples):
            for gone in known.keys() - self._heard_s.keys():
                del known[gone]

    def _take_sample(self, message: dict[str, Any], news: Processes, now_s: float) -> None:
        gpu = message["sample"]["gpu"]
        processes = news.get("processes", self._processes.get(gpu))
        sample = GpuSample(**message["sample"], processes=None if "error" in message["sample"] else processes)
        self._processes[gpu] = processes
        self._samples[sample.gpu] = sample
        self._dropped[sample.gpu] = message.get("dropped", 0)
        self._heard_s[sample.gpu] = self._answered_s = now_s
        self._trouble = None

    def _described(self, pairs: Sequence[tuple[int, int | None]] | None) -> tuple[GpuProcess, ...] | None:
        if pairs is None:
            return None
        return tuple(process for pid, used in pairs if (process := self._describe(pid, used)))
