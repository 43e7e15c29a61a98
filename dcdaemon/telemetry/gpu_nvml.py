"""One GPU as NVML tells it: what is due is asked, what it does not support is asked once and never again."""

import time
from collections.abc import Callable, Iterator, Mapping

from dcdaemon.telemetry.nvml_catalog import BELIEFS, FIELDS, LINK_FIELDS, METRICS, RATE_OF_COUNTER
from dcdaemon.telemetry.nvml_errors import GpuLost, NoDriver, unsupported
from dcdaemon.telemetry.nvml_fields import Field, FieldBatch
from dcdaemon.telemetry.nvml_gpm import Gpm, open_gpm
from dcdaemon.telemetry.nvml_library import pynvml
from dcdaemon.telemetry.nvml_mig import Instances
from dcdaemon.telemetry.nvml_processes import ProcessLists
from dcdaemon.telemetry.nvml_questions import OLDER_WAYS, QUESTIONS, Question, link_count, link_ends, numa_node
from dcdaemon.telemetry.nvml_values import Asker, Values
from dcdaemon.telemetry.nvml_wide import WideCounter

__all__ = ["GpuLost", "NoDriver", "NvmlGpu", "Tempo", "open_driver"]


def open_driver() -> dict[str, object]:
    """Start NVML and return the driver's version and its count of GPUs; raise NoDriver."""
    try:
        pynvml.nvmlInit()
        return {"driver_version": pynvml.nvmlSystemGetDriverVersion(), "count": pynvml.nvmlDeviceGetCount()}
    except pynvml.NVMLError as error:
        raise NoDriver(error.value) from error


class Tempo:
    """How often each value is wanted, never more than once an interval; hot ones, read at each poll, come first."""

    def __init__(self, interval_s: float, every: Mapping[str, float]) -> None:
        self.interval_s, self._every = interval_s, every
        order = sorted(BELIEFS, key=lambda name: self.every_s(name) > interval_s)
        self.beliefs = {name: BELIEFS[name] for name in order}
        #: How many values are hot.
        self.hot = sum(self.every_s(name) <= interval_s for name in order)

    def every_s(self, name: str) -> float:
        """Return the seconds between two readings of a value."""
        return max(self._every[name], self.interval_s)


class NvmlGpu:
    """One GPU by its NVML index; `tempo` tells how often each value is wanted.

    Raise GpuLost or NoDriver from every method when they apply. One thread at a time may use it.
    """

    def __init__(self, index: int, tempo: Tempo) -> None:
        self.index, self._tempo, self._interval_s = index, tempo, tempo.interval_s
        self.values = Values(tempo.beliefs)
        try:
            self.handle: object = pynvml.nvmlDeviceGetHandleByIndex(index)
        except pynvml.NVMLError as error:
            unsupported(error.value)
            raise GpuLost(str(error)) from error
        self._processes = ProcessLists(self.handle, self._tempo.every_s("processes"))
        self._instances = Instances(self.handle, self._tempo.every_s("migs"), self._tempo.every_s("mig_layout"))
        self._cut: bool | None = None
        self._told_cut: bool | None = None
        self._gpm: Gpm | None = None
        self._hot: list[Asker] = []
        self._slow: list[Asker] = []
        self._begin()

    def poll(self) -> None:
        """Ask what is due: answers stand in `values`, lists of processes and MIG instances wait to be taken."""
        now_s = time.monotonic()
        for asker in self._hot:
            asker.ask(now_s)
        if now_s >= self._slow_due_s:
            self._ask_slow(now_s)

    def _ask_slow(self, now_s: float) -> None:
        for asker in self._slow:
            if now_s >= asker.due_s and asker.ask(now_s):
                wait_s = asker.every_s if asker.due_s else self._first_wait_s(asker.every_s)
                # Half an interval of slack: a poll that comes a hair early must not cost a whole beat.
                asker.due_s = now_s + wait_s - self._interval_s / 2
        self._processes.hasten(self.values.of("mem_used_bytes"))
        self._hot = [asker for asker in self._hot if not asker.over]
        self._slow = [asker for asker in self._slow if not asker.over]
        self._slow_due_s = min(asker.due_s for asker in self._slow)
        self._notice_cut()

    def info(self) -> dict[str, object]:
        """Return the fields of GpuInfo; some of them are values, so poll first."""
        pci = self._once(pynvml.nvmlDeviceGetPciInfo)
        return {
            "index": self.index,
            "uuid": self._once(pynvml.nvmlDeviceGetUUID) or f"unknown-{self.index}",
            "name": self._once(pynvml.nvmlDeviceGetName) or "unknown",
            "mem_total_bytes": self.values.of("mem_total_bytes"),
            "pci_bus_id": getattr(pci, "busId", None) or None,
            "minor": self._once(pynvml.nvmlDeviceGetMinorNumber),
            "power_limit_w": self.values.of("power_limit_w"),
            "numa_node": self._once(numa_node),
            "nvlink_ends": link_ends(self.handle),
        }

    def take_news(self) -> dict[str, object]:
        """Return what is new since the last call: slow values that changed, lists, values that are nonsense."""
        news: dict[str, object] = {}
        if changes := self.values.take_changes(self._tempo.hot):
            news["slow"] = changes
        for name, lister in (("processes", self._processes), ("migs", self._instances)):
            if lister.news:
                news[name] = lister.news.pop()
        if odd := self.values.take_odd():
            news["odd"] = odd
        if self._cut != self._told_cut:
            news["cut"] = self._told_cut = self._cut
        return news

    def _begin(self) -> None:
        """Set out to ask everything, in the order in which it should be read."""
        if self._gpm is not None:
            self._gpm.free()
        self._gpm = open_gpm(self.handle, METRICS, self.values, self._tempo.every_s("sm_active_ratio"))
        questions = [
            Question(self.handle, names, ways, self.values, self._tempo.every_s(names[0])) for names, ways in QUESTIONS
        ]
        # GPM comes before the counters of 32 bits, which need its rates.
        askers: list[Asker] = [
            *filter(None, [self._gpm]),
            *self._batches(),
            *questions,
            self._processes,
            self._instances,
        ]
        # Both grow while they are walked: an older way takes the place of a field at once.
        self._hot = [asker for asker in askers if asker.every_s <= self._interval_s]
        self._slow = [asker for asker in askers if asker.every_s > self._interval_s]
        self._slow_due_s = 0.0

    def _batches(self) -> Iterator[FieldBatch]:
        """Yield the fields of each tier, the quickest tier first."""
        links = range(link_count(self.handle))
        by_link = [Field(name, number, scope=link) for name, number in LINK_FIELDS for link in links]
        tiers: dict[float, list[Field]] = {}
        for field in (*FIELDS, *by_link):
            tiers.setdefault(self._tempo.every_s(field.name), []).append(field)
        wide = {name: WideCounter(self._rate(rate), time.monotonic) for name, rate in RATE_OF_COUNTER.items()}
        for every_s, fields in sorted(tiers.items()):
            yield FieldBatch(self.handle, fields, self.values, every_s, lengthen=wide, struck=self._ask_the_older_way)

    def _ask_the_older_way(self, name: str) -> None:
        if name in OLDER_WAYS:
            question = Question(self.handle, (name,), (OLDER_WAYS[name],), self.values, self._tempo.every_s(name))
            (self._hot if question.every_s <= self._interval_s else self._slow).append(question)

    def _rate(self, name: str) -> Callable[[], float | None]:
        return lambda: self.values.of(name)

    def _notice_cut(self) -> None:
        """Ask everything anew when the GPU was cut by MIG or made whole: it supports other questions now."""
        before, self._cut = self._cut, self._instances.cut
        if before is not None and before != self._cut:
            self._begin()

    def _first_wait_s(self, every_s: float) -> float:
        """Spread what is asked seldom over the polls, so that not all GPUs are asked everything at once."""
        beats = max(1, round(every_s / self._interval_s))
        return self._interval_s * (1 + self.index % beats)

    def _once(self, ask: Callable[[object], object]) -> object:
        try:
            return ask(self.handle)
        except pynvml.NVMLError as error:
            unsupported(error.value)
            return None
