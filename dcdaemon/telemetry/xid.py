"""XIDs, the driver's numbered errors: read from kernel lines, paired with what NVML tells, told once each."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.telemetry.xid_codes import meaning

NVML, KERNEL = "nvml", "kernel log"
_FALLEN_OFF_THE_BUS = 79
#: Both sources tell of the same error within this time.
_SAME_S = 10.0
#: What NVML tells waits so long for the kernel's line, which knows the process as well.
_HOLD_S = 1.0
#: In a storm, so many wait for their pair.
_MOST_ARRIVALS = 256
_TEXT_CHARACTERS = 500

#: Domain, bus and device.
Pci = tuple[int, int, int]

_PCI = r"([0-9a-fA-F]+):([0-9a-fA-F]+):([0-9a-fA-F]+)"
_XID = re.compile(rf"NVRM: Xid \((?:PCI:)?{_PCI}[^)]*\): (\d+)(?:, )?(.*)", re.DOTALL)
_FALLEN = re.compile(rf"NVRM: .*GPU (?:at )?(?:PCI:)?{_PCI}.*fallen off the bus", re.DOTALL)
_PID = re.compile(r"\bpid='?(\d+)")


@dataclass(frozen=True, slots=True)
class Xid:
    """One error as one source tells it, of a GPU by index or by PCI address.

    `implied` is one that a kernel line without a number means; it is nothing new after one with the number.
    """

    at: float
    code: int
    source: str
    gpu: int | None = None
    pci: Pci | None = None
    pid: int | None = None
    text: str = ""
    implied: bool = False


def pci_of(bus_id: str) -> Pci | None:
    """Return domain, bus and device of an address like 00000000:10:00.0 or 0000:10:00."""
    match = re.match(_PCI, bus_id)
    return None if match is None else (int(match[1], 16), int(match[2], 16), int(match[3], 16))


def parse_kernel_line(at: float, line: str) -> Xid | None:
    """Return the XID that a line of the kernel log tells of; None for any other line."""
    match = _XID.search(line)
    implied = match is None
    match = match or _FALLEN.search(line)
    if match is None:
        return None
    pid = _PID.search(line)
    return Xid(
        at=at,
        code=_FALLEN_OFF_THE_BUS if implied else int(match[4]),
        source=KERNEL,
        pci=(int(match[1], 16), int(match[2], 16), int(match[3], 16)),
        pid=int(pid[1]) if pid else None,
        text=" ".join(line.split())[:_TEXT_CHARACTERS],
        implied=implied,
    )


@dataclass(slots=True)
class _Arrival:
    xid: Xid
    at_s: float
    told: bool


class XidDesk:
    """Takes XIDs from both sources, in any thread; what the two tell of the same error is one event.

    Each arrival is paired with one of the other source: ten lines and ten NVML events are ten errors.
    `kernel_speaks` tells whether there is a second source to wait for.
    """

    def __init__(self, tell: Tell, gpu_of: Callable[[Pci], int | None], kernel_speaks: Callable[[], bool]) -> None:
        self._tell, self._gpu_of, self._kernel_speaks = tell, gpu_of, kernel_speaks
        self._lock = threading.Lock()
        self._arrivals: list[_Arrival] = []
        self._newest_s: dict[tuple[int | None, Pci | None, int], float] = {}
        #: The newest code of each GPU.
        self.last: dict[int, int] = {}

    def take(self, xid: Xid, now_s: float) -> None:
        """Take in what one source tells."""
        if xid.gpu is None and xid.pci is not None and (gpu := self._gpu_of(xid.pci)) is not None:
            xid = replace(xid, gpu=gpu, pci=None)
        with self._lock:
            told = self._sort_in(xid, now_s)
        if told is not None:
            self._say(told)

    def flush(self, now_s: float) -> None:
        """Tell what has waited long enough for its pair."""
        with self._lock:
            self._arrivals = [arrival for arrival in self._arrivals if now_s - arrival.at_s <= _SAME_S]
            due = [one for one in self._arrivals if not one.told and now_s - one.at_s >= _HOLD_S]
            for arrival in due:
                arrival.told = True
        for arrival in due:
            self._say(arrival.xid)

    def _sort_in(self, xid: Xid, now_s: float) -> Xid | None:
        """Return what is to be told now: nothing when it is told already, or will be."""
        device = (xid.gpu, xid.pci, xid.code)
        before_s, self._newest_s[device] = self._newest_s.get(device, float("-inf")), now_s
        if xid.implied and now_s - before_s <= _SAME_S:
            return None
        for arrival in self._arrivals:
            other = arrival.xid
            same = (other.gpu, other.pci, other.code) == device and now_s - arrival.at_s <= _SAME_S
            if same and other.source != xid.source:
                self._arrivals.remove(arrival)
                known = xid if xid.source == KERNEL else other
                return None if arrival.told else replace(known, source=f"{NVML}, {KERNEL}")
        told = xid.source == KERNEL or not self._kernel_speaks()
        del self._arrivals[: len(self._arrivals) - _MOST_ARRIVALS + 1]
        self._arrivals.append(_Arrival(xid, now_s, told))
        return xid if told else None

    def _say(self, xid: Xid) -> None:
        if xid.gpu is not None:
            self.last[xid.gpu] = xid.code
        where = f"gpu {xid.gpu}" if xid.gpu is not None else f"pci {_address(xid.pci)}"
        who = f" (pid {xid.pid})" if xid.pid is not None else ""
        message = f"{where}: XID {xid.code}, {meaning(xid.code)}{who}"
        evidence: dict[str, object] = {"xid": xid.code, "pid": xid.pid, "source": xid.source, "text": xid.text or None}
        self._tell(Event(xid.at, EventKind.XID, where, message, evidence, gpu=xid.gpu))


def _address(pci: Pci | None) -> str:
    return "unknown" if pci is None else f"{pci[0]:04x}:{pci[1]:02x}:{pci[2]:02x}"
