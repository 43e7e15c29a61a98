"""What is known of the GPUs from the telemetry child's lines; too old a reading is withdrawn."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from dcdaemon.core.gpu import GpuInfo, GpuProcess
from dcdaemon.core.samples import GpuReading, GpuSample, MigSample
from dcdaemon.telemetry.gpu_watch import LOST, Answer

Describe = Callable[[int, int | None], GpuProcess | None]
#: Told each new sample, and the names and values that began to be nonsense with it.
Notice = Callable[[GpuSample, Sequence[tuple[str, float]]], None]
#: What a row of the child about a MIG instance holds, in its order.
_MIG_NAMES = (
    "instance", "uuid", "profile", "mem_used_bytes", "mem_total_bytes", "sm_active_ratio", "tensor_active_ratio",
    "dram_active_ratio",
)  # fmt: skip
#: Where each field of a sample stands, and a sample of nothing.
_PLACE = {field.name: place for place, field in enumerate(fields(GpuSample))}
_PROCESSES, _LAST_XID = _PLACE["processes"], _PLACE["last_xid"]
_NOTHING: tuple[Any, ...] = tuple(None if field.default is MISSING else field.default for field in fields(GpuSample))


@dataclass(slots=True)
class _Gpu:
    """All that is known of one GPU."""

    heard_s: float
    #: The fields of its next sample, in their order; what is read seldom stays until it is read again.
    row: list[Any]
    info: GpuInfo | None = None
    sample: GpuSample | None = None
    processes: tuple[GpuProcess, ...] | None = None
    #: Its MIG instances as they were told last, and when that was; None since there is nobody to tell of them.
    migs: tuple[MigSample, ...] = ()
    migs_s: float | None = None
    #: Whether it is cut by MIG; stands until a child says otherwise, as each does with its first answer.
    cut: bool = False
    lost_s: float | None = None

    @property
    def read_s(self) -> float:
        """When it was read last; before it was, when it was first heard of."""
        return self.heard_s if self.sample is None else self.sample.monotonic_s

    def answer(self, now_s: float) -> Answer:
        """Return what it said last."""
        error = self.sample.error if self.sample else None
        lost_s = None if self.lost_s is None else now_s - self.lost_s
        return Answer(now_s - self.read_s, error, lost_s, said=self.sample is not None)


@dataclass(frozen=True, slots=True)
class _News:
    """What one line says of one GPU."""

    sample: GpuSample
    row: list[Any]
    processes: tuple[GpuProcess, ...] | None
    info: GpuInfo | None
    migs: tuple[MigSample, ...] | None
    cut: bool | None
    odd: Sequence[tuple[str, float]]


class GpuBoard:
    """Filled by one thread, read by any; times are monotonic seconds, which parent and child share."""

    def __init__(
        self,
        fresh_s: float,
        migs_fresh_s: float,
        deadline_s: float,
        describe: Describe,
        *,
        last_xid: Callable[[int], int | None] = lambda _: None,
        notice: Notice = lambda *_: None,
    ) -> None:
        self._fresh_s, self._migs_fresh_s, self._deadline_s = fresh_s, migs_fresh_s, deadline_s
        self._describe, self._last_xid, self._notice = describe, last_xid, notice
        self._lock = threading.Lock()
        #: Where each value of a line stands in the sample, and how many of them each line has.
        self._places: tuple[int, ...] = ()
        self._hot = 0
        self._gpus: dict[int, _Gpu] = {}
        self._spoke_s = 0.0
        self._answered_s: float | None = None
        self._driver_version: str | None = None
        self._trouble: str | None = None
        self._released_until: float | None = None
        self.absent = False

    def new_child(self, now_s: float) -> None:
        """Begin to listen to a fresh child."""
        with self._lock:
            self._spoke_s = now_s
            for gpu in self._gpus.values():
                if gpu.sample is None:
                    gpu.heard_s = now_s
            self._answered_s = now_s if self._answered_s is None else self._answered_s
            self.absent = False

    def hear(self, message: Mapping[str, Any], now_s: float) -> None:
        """Take in one line; raise ValueError, LookupError or TypeError for one the child cannot have meant."""
        if "gpus" in message:
            # Built before the lock is taken: /proc can be slow, and a reader must not wait for it.
            news = [self._news(said) for said in message["gpus"]]
            with self._lock:
                for one in news:
                    self._take(one, now_s)
            for one in news:
                self._notice(one.sample, one.odd)
        elif "hello" in message:
            self._take_hello(message["hello"], now_s)
        else:
            with self._lock:
                self._spoke_s, self._trouble, self.absent = now_s, message["driver_error"], True

    def blame(self, trouble: str) -> None:
        """Remember why there is no news; the next sample wipes it out."""
        with self._lock:
            self._trouble = trouble

    def release(self, until: float | None) -> None:
        """Withdraw everything because the driver is let go of until then (epoch seconds); None: it is back."""
        with self._lock:
            self._released_until, self._answered_s, self._trouble = until, None, None
            for gpu in self._gpus.values():
                gpu.sample, gpu.processes, gpu.migs_s, gpu.lost_s = None, None, None, None

    def silence_s(self, now_s: float) -> float:
        """Return for how long the child as a whole said nothing."""
        with self._lock:
            return now_s - self._spoke_s

    def answers(self, now_s: float) -> dict[int, Answer]:
        """Return the newest that each GPU said, and how long ago."""
        with self._lock:
            return {index: gpu.answer(now_s) for index, gpu in self._gpus.items()}

    def pci_bus_ids(self) -> dict[int, str]:
        """Return the PCI address of each GPU that told it."""
        with self._lock:
            infos = [gpu.info for gpu in self._gpus.values() if gpu.info]
        return {info.index: info.pci_bus_id for info in infos if info.pci_bus_id}

    @property
    def trouble(self) -> str | None:
        """What is known to be wrong."""
        return self._trouble

    def known(self) -> bool:
        """Return whether every GPU has introduced itself, or it is clear that none will."""
        with self._lock:
            met = bool(self._gpus) and all(gpu.sample for gpu in self._gpus.values())
            return met or self._trouble is not None

    def reading(self, now_s: float) -> GpuReading:
        """Return what is known, without the samples that are too old to be true."""
        with self._lock:
            gpus = [gpu for _, gpu in sorted(self._gpus.items())]
            infos = tuple(gpu.info for gpu in gpus if gpu.info)
            migs, unread = self._instances(now_s)
            cut = frozenset(index for index, gpu in self._gpus.items() if gpu.cut)
            if self._released_until is not None:
                return GpuReading(
                    infos, (), driver_error=self._words(), released_until=self._released_until, cut=cut, unread=unread
                )
            samples = (gpu.sample for gpu in gpus if now_s - gpu.read_s <= self._fresh_s)
            return GpuReading(
                gpus=infos,
                samples=tuple(sample for sample in samples if sample),
                driver_version=self._driver_version,
                driver_error=self._driver_error(now_s),
                lost=frozenset(index for index, gpu in self._gpus.items() if gpu.lost_s is not None),
                migs=migs,
                cut=cut,
                unread=unread,
            )

    def _instances(self, now_s: float) -> tuple[tuple[MigSample, ...], tuple[MigSample, ...]]:
        """Return the MIG instances that are read, and those that were when they could be."""
        read, unread = list[MigSample](), list[MigSample]()
        for _, gpu in sorted(self._gpus.items()):
            is_fresh = gpu.migs_s is not None and now_s - gpu.migs_s <= self._migs_fresh_s
            if is_fresh:
                read += gpu.migs
            else:
                unread += (_withdrawn(mig) for mig in gpu.migs)
        return tuple(read), tuple(unread)

    def _driver_error(self, now_s: float) -> str | None:
        if self._trouble or self._answered_s is None:
            return self._trouble
        silence_s = now_s - self._answered_s
        return f"the driver does not answer since {silence_s:.0f} s" if silence_s > self._deadline_s else None

    def _words(self) -> str:
        until = time.strftime("%H:%M:%S", time.localtime(self._released_until))
        words = f"the driver is released until {until} (dcd gpus release --end takes it back)"
        return f"{self._trouble}; {words}" if self._trouble else words

    def _take_hello(self, hello: Mapping[str, Any], now_s: float) -> None:
        count, version, hot = int(hello["count"]), str(hello["driver_version"]), int(hello["hot"])
        places = tuple(_PLACE[name] for name in hello["names"])
        with self._lock:
            self._spoke_s, self._driver_version, self._places, self._hot = now_s, version, places, hot
            for gone in [index for index in self._gpus if index >= count]:
                del self._gpus[gone]
            for index in range(count):
                gpu = self._gpus.setdefault(index, _Gpu(now_s, []))
                gpu.heard_s, gpu.processes, gpu.migs_s, gpu.row = now_s, None, None, list(_NOTHING)

    def _news(self, said: Sequence[Any]) -> _News:
        index, at, monotonic_s, hot = said[:4]
        more = said[4] if len(said) > 4 else {}
        gpu = self._gpus[index]
        processes = self._described(more["processes"]) if "processes" in more else gpu.processes
        row, error = gpu.row.copy(), more.get("error")
        if error is None:
            for place, value in zip(self._places[: self._hot], hot, strict=True):
                row[place] = value
            slow = more.get("slow", ())
            for place, value in zip(slow[::2], slow[1::2], strict=True):
                row[self._places[place]] = value
            row[_PROCESSES] = processes
            row[_LAST_XID] = self._last_xid(index)
            row[:3] = at, monotonic_s, index
            sample = GpuSample(*row)
        else:
            # The code does not come from the GPU, and tells why this one is lost.
            sample = GpuSample(at, monotonic_s, index, last_xid=self._last_xid(index), error=str(error))
        return _News(
            sample=sample,
            row=row,
            processes=processes,
            info=_info(more["info"]) if "info" in more else None,
            migs=tuple(_mig(at, index, values) for values in more["migs"]) if "migs" in more else None,
            cut=more.get("cut"),
            odd=more.get("odd", ()),
        )

    def _take(self, news: _News, now_s: float) -> None:
        sample = news.sample
        gpu = self._gpus[sample.gpu]
        gpu.sample, gpu.row, gpu.processes, gpu.heard_s = sample, news.row, news.processes, now_s
        gpu.info = news.info or gpu.info
        if news.migs is not None:
            gpu.migs, gpu.migs_s = news.migs, sample.monotonic_s
        if news.cut is not None:
            gpu.cut = news.cut
        if sample.error in LOST:
            gpu.lost_s = now_s if gpu.lost_s is None else gpu.lost_s
        elif sample.error is None:
            gpu.lost_s = None
        self._spoke_s = self._answered_s = now_s
        self._trouble = None

    def _described(self, rows: Sequence[Sequence[Any]] | None) -> tuple[GpuProcess, ...] | None:
        if rows is None:
            return None
        known = ((self._describe(pid, used), share, instance) for pid, used, share, instance in rows)
        return tuple(
            replace(process, sm_util_ratio=share, instance=instance) for process, share, instance in known if process
        )


def _info(values: dict[str, Any]) -> GpuInfo:
    return GpuInfo(**{**values, "nvlink_ends": tuple(values.get("nvlink_ends", ()))})


def _withdrawn(mig: MigSample) -> MigSample:
    """Return what an instance is, without what moves."""
    return replace(mig, mem_used_bytes=None, sm_active_ratio=None, tensor_active_ratio=None, dram_active_ratio=None)


def _mig(at: float, gpu: int, row: Sequence[Any]) -> MigSample:
    return MigSample(at, gpu, **dict(zip(_MIG_NAMES, row, strict=True)))
