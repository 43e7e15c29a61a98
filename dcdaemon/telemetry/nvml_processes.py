"""Which processes hold a GPU: by far the dearest question, so it is asked seldom, and when memory moved."""

from collections.abc import Callable, Iterable

from dcdaemon.telemetry.nvml_errors import unsupported
from dcdaemon.telemetry.nvml_library import pynvml
from dcdaemon.telemetry.nvml_values import Asker

#: pid, bytes held, share of the SMs' time, MIG instance like `9/0`.
Row = tuple[int, int | None, float | None, str | None]
#: The programs under MPS are on a list of their own; it alone is not all processes.
_KINDS, _MPS = ("Compute", "Graphics"), "MPSCompute"
_NOT_CUT = 0xFFFFFFFF
#: Codes that say "nothing to tell just now", the first by way of a slip in nvidia-ml-py.
_NOTHING_NEW = frozenset({pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_NO_DATA})
# A list is asked for early when so much memory was taken or given back, but not more often than this.
_MOVED_BYTES = 16 * 2**20
_SOONEST_S = 2.0

Lister = Callable[[object], Iterable[pynvml.c_nvmlProcessInfo_v3_t]]


class ProcessLists(Asker):
    """Asks for the processes of one GPU; `news` holds the newest list until it is taken."""

    def __init__(self, handle: object, every_s: float) -> None:
        super().__init__(every_s)
        self._handle = handle
        self._listers, self._mps_listers = [_listers(kind) for kind in _KINDS], _listers(_MPS)
        self._util_known, self._util_seen_us = True, 0
        self._listed_s, self._held_bytes = float("-inf"), 0.0
        self.news: list[list[Row] | None] = []

    def hasten(self, held_bytes: float | None) -> None:
        """Have the list asked for soon when the memory held has changed since the last one."""
        if held_bytes is not None and abs(held_bytes - self._held_bytes) >= _MOVED_BYTES:
            self._held_bytes = held_bytes
            self.due_s = min(self.due_s, self._listed_s + min(_SOONEST_S, self.every_s))

    def ask(self, now_s: float) -> bool:
        """List the processes; None when the driver cannot."""
        self._listed_s = now_s
        found = [rows for listers in self._listers if (rows := self._ask(listers)) is not None]
        under_mps = self._ask(self._mps_listers) or []
        self.news = [_merged([*found, under_mps], self._utilisation()) if found else None]
        return True

    def _ask(self, listers: list[Lister]) -> list[pynvml.c_nvmlProcessInfo_v3_t] | None:
        while listers:
            try:
                return list(listers[0](self._handle))
            except pynvml.NVMLError as error:
                if not unsupported(error.value):
                    return None
                listers.pop(0)
        return None

    def _utilisation(self) -> dict[int, float]:
        """Return the mean share of the SMs' time of each process since the last call."""
        if not self._util_known:
            return {}
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(self._handle, self._util_seen_us)
        except pynvml.NVMLError as error:
            self._util_known = error.value in _NOTHING_NEW or not unsupported(error.value)
            return {}
        shares: dict[int, list[float]] = {}
        for sample in samples:
            # The driver's ring is handed out whole: what was seen before comes again, empty slots with it.
            if sample.timeStamp > self._util_seen_us and sample.smUtil <= 100:
                shares.setdefault(sample.pid, []).append(sample.smUtil / 100)
        self._util_seen_us = max([self._util_seen_us, *(sample.timeStamp for sample in samples)])
        return {pid: sum(parts) / len(parts) for pid, parts in shares.items()}


def _listers(kind: str) -> list[Lister]:
    """Return the ways to list processes of one kind; version 2 serves drivers from before 510."""
    return [getattr(pynvml, f"nvmlDeviceGet{kind}RunningProcesses_v{version}") for version in (3, 2)]


def _merged(lists: list[list[pynvml.c_nvmlProcessInfo_v3_t]], shares: dict[int, float]) -> list[Row]:
    rows: dict[int, Row] = {}
    for process in (process for found in lists for process in found):
        used, pid = process.usedGpuMemory, process.pid
        # A process that both computes and draws is on both lists with the same memory.
        known = rows.get(pid)
        held = max((n for n in (used, known[1] if known else None) if n is not None), default=None)
        rows[pid] = pid, held, shares.get(pid), _instance(process)
    return list(rows.values())


def _instance(process: pynvml.c_nvmlProcessInfo_v3_t) -> str | None:
    instance, compute = process.gpuInstanceId, process.computeInstanceId
    return None if _NOT_CUT in (instance, compute) else f"{instance}/{compute}"
