"""Reads how well TCP fares from /proc/net/snmp and /proc/net/netstat."""

from pathlib import Path

from dcdaemon.core.event import Tell
from dcdaemon.telemetry.kernel_file import Faults, KernelFile
from dcdaemon.telemetry.numbers import whole

#: The fields of HostSample, with the row and the column each stands in.
_SNMP = {"tcp_segments_out": "OutSegs", "tcp_retransmits": "RetransSegs"}
_NETSTAT = {"tcp_timeouts": "TCPTimeouts", "tcp_listen_drops": "ListenDrops"}


class Tcp:
    """The TCP values of HostSample: counters of the network namespace the daemon runs in."""

    def __init__(self, proc: Path, tell: Tell) -> None:
        faults = Faults(tell)
        self._rows = (
            _Row(proc / "net/snmp", "Tcp", _SNMP, faults),
            _Row(proc / "net/netstat", "TcpExt", _NETSTAT, faults),
        )

    def read(self, at: float) -> dict[str, int | None]:
        """Return the counters now; what the kernel does not tell is None."""
        found: dict[str, int | None] = {}
        for row in self._rows:
            found |= row.read(at)
        return found


class _Row:
    """One row of numbers under its row of names; the kernel prints hundreds, of which few are wanted."""

    def __init__(self, path: Path, prefix: str, wanted: dict[str, str], faults: Faults) -> None:
        self._file = KernelFile(path)
        self._prefix = prefix.encode() + b":"
        self._wanted = wanted
        self._faults = faults
        self._header = b""
        self._places: dict[str, int] = {}

    def read(self, at: float) -> dict[str, int | None]:
        unknown: dict[str, int | None] = dict.fromkeys(self._wanted)
        try:
            lines = [line for line in self._file.read_all().split(b"\n") if line.startswith(self._prefix)]
        except OSError as error:
            self._faults.failed(at, self._file.path, self._file.path, error)
            return unknown
        if len(lines) < 2:
            self._faults.odd(at, self._file.path, self._file.path, "")
            return unknown
        return self._values(at, lines[0], lines[1].split())

    def _values(self, at: float, header: bytes, values: list[bytes]) -> dict[str, int | None]:
        if header != self._header:
            names = header.decode("ascii", "replace").split()
            self._header = header
            self._places = {name: names.index(column) for name, column in self._wanted.items() if column in names}
        texts = {
            name: values[place].decode("ascii", "replace")
            for name, place in self._places.items()
            if place < len(values)
        }
        found = {name: whole(text) for name, text in texts.items()}
        odd = next((texts[name] for name, number in found.items() if number is None), None)
        if odd is None:
            self._faults.over(self._file.path)
        else:
            self._faults.odd(at, self._file.path, self._file.path, odd)
        return {name: found.get(name) for name in self._wanted}
