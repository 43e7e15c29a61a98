"""Reads the counters of one RDMA port; a file that cannot be read costs its own value only."""

from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.event import Event, EventKind, Tell
from dcdaemon.telemetry.kernel_file import ABSENT, KernelFile, word_of
from dcdaemon.telemetry.numbers import whole

#: A port counts data in words of four bytes.
_WORD_BYTES = 4
_4_BITS, _8_BITS, _16_BITS, _32_BITS = 2**4 - 1, 2**8 - 1, 2**16 - 1, 2**32 - 1


@dataclass(frozen=True, slots=True)
class Counter:
    """One file below a port's folder; one of its counts is `unit` of ours.

    `top` is the highest count of the port's own table (InfiniBand Architecture, PortCounters), at which it stops and
    does not wrap. One that `flows` gets there by ordinary traffic where the port has no wider one, and then tells
    nothing.
    """

    attribute: str
    file: str
    top: int | None = None
    unit: int = 1
    flows: bool = False


PORT = (
    Counter("received_bytes", "counters/port_rcv_data", _32_BITS, _WORD_BYTES, flows=True),
    Counter("sent_bytes", "counters/port_xmit_data", _32_BITS, _WORD_BYTES, flows=True),
    Counter("packets_in", "counters/port_rcv_packets", _32_BITS, flows=True),
    Counter("packets_out", "counters/port_xmit_packets", _32_BITS, flows=True),
    Counter("link_downed", "counters/link_downed", _8_BITS),
    Counter("link_error_recovery", "counters/link_error_recovery", _8_BITS),
    Counter("symbol_errors", "counters/symbol_error", _16_BITS),
    Counter("integrity_errors", "counters/local_link_integrity_errors", _4_BITS),
    Counter("errors_in", "counters/port_rcv_errors", _16_BITS),
    Counter("discards_out", "counters/port_xmit_discards", _16_BITS),
    Counter("wait_ticks", "counters/port_xmit_wait", _32_BITS, flows=True),
    Counter("vl15_dropped", "counters/VL15_dropped", _16_BITS),
)
HARDWARE = (
    Counter("out_of_sequence", "hw_counters/out_of_sequence"),
    Counter("packet_seq_errors", "hw_counters/packet_seq_err"),
    Counter("ack_timeouts", "hw_counters/local_ack_timeout_err"),
    Counter("rnr_naks", "hw_counters/rnr_nak_retry_err"),
    Counter("out_of_buffer", "hw_counters/out_of_buffer"),
    Counter("adaptive_retransmits", "hw_counters/roce_adp_retrans"),
    Counter("cnp_sent", "hw_counters/np_cnp_sent"),
    Counter("ecn_marked", "hw_counters/np_ecn_marked_roce_packets"),
    Counter("cnp_handled", "hw_counters/rp_cnp_handled"),
)
Values = dict[str, int | None]
Files = list[tuple[Counter, KernelFile]]


class PortCounters:
    """The counters that a port has, their files kept open; what its driver does not offer is not asked for."""

    def __init__(self, folder: Path, name: str, tell: Tell) -> None:
        self._name = name
        self._tell = tell
        self._port = _there(folder, PORT)
        self._hardware = _there(folder, HARDWARE)
        self._lifespan_s = (whole(word_of(folder / "hw_counters/lifespan")) or 0) / 1000
        self._hardware_read: tuple[float, Values] | None = None
        self._odd: dict[str, str] = {}
        self._stuck: dict[str, str] = {}

    def read(self, at: float) -> Values:
        """Return the counters now, and tell once of those that began to fail."""
        before, self._odd = self._odd, {}
        stuck_before, self._stuck = self._stuck, {}
        values = self._values(self._port) | self._hardware_now(at)
        self._say(at, EventKind.UNREADABLE, before, self._odd)
        self._say(at, EventKind.COUNTER_STUCK, stuck_before, self._stuck)
        return values

    def _hardware_now(self, at: float) -> Values:
        """Return the hardware counters; within their lifespan the kernel would only repeat itself."""
        if self._hardware_read is None or not 0 <= at - self._hardware_read[0] < self._lifespan_s:
            self._hardware_read = at, self._values(self._hardware)
        return self._hardware_read[1]

    def _values(self, files: Files) -> Values:
        return {counter.attribute: self._value(counter, file) for counter, file in files}

    def _value(self, counter: Counter, file: KernelFile) -> int | None:
        try:
            text = file.read(32).decode("ascii", "replace").strip()
        except OSError as error:
            if error.errno not in ABSENT:
                self._odd[counter.file] = error.strerror or str(error)
            return None
        count = whole(text)
        if count is None or count * counter.unit >= 2**63:
            self._odd[counter.file] = ascii(text)
            return None
        if count == counter.top:
            self._stuck[counter.file] = f"stands at {count}, as high as it counts, until it is cleared"
            return None if counter.flows else count
        return count * counter.unit

    def _say(self, at: float, kind: EventKind, before: dict[str, str], now: dict[str, str]) -> None:
        """Tell of files that have begun to fail, those of one port together."""
        fresh = {file: why for file, why in now.items() if file not in before}
        if not fresh:
            return
        file, why = next(iter(fresh.items()))
        more = f" (and {len(fresh) - 1} more files)" if len(fresh) > 1 else ""
        self._tell(Event(at, kind, self._name, f"{file} of {self._name}: {why}{more}", {"files": fresh}))


def _there(folder: Path, counters: tuple[Counter, ...]) -> Files:
    return [(counter, KernelFile(folder / counter.file)) for counter in counters if (folder / counter.file).exists()]
