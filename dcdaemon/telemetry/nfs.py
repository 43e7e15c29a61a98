"""Client counters of NFS mounts, from /proc/self/mountstats."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dcdaemon.core.event import Tell
from dcdaemon.core.samples import Lack, NfsSample
from dcdaemon.telemetry.kernel_file import Faults, KernelFile
from dcdaemon.telemetry.mounts import parse_mountinfo, printable, unescaped
from dcdaemon.telemetry.numbers import whole

_NFS = (" with fstype nfs ", " with fstype nfs4 ")
#: "bytes:" tells eight counts; these two are what crossed the wire (include/linux/nfs_iostat.h).
_SERVER_READ, _SERVER_WRITTEN, _BYTES = 4, 5, 8
#: A line of "per-op statistics" (net/sunrpc/stats.c): requests, transmissions, timeouts, bytes sent and received,
#: milliseconds queued, on the wire, and in all; since Linux 5.3 also errors.
_REQUESTS, _SENT, _TIMEOUTS, _QUEUE_MS, _WIRE_MS, _ERRORS = 0, 1, 2, 5, 6, 8
_COUNTED = (_REQUESTS, _SENT, _TIMEOUTS, _QUEUE_MS, _WIRE_MS)

_TOP = 2**63

Sum = int | None


@dataclass(slots=True)
class NfsMount:
    """The counts of one mount, all operations together; a sum that holds nonsense is None."""

    point: str
    server: str
    bytes: tuple[Sum, Sum] = (None, None)
    sums: dict[int, Sum] = field(default_factory=dict)
    nonsense: list[str] = field(default_factory=list)


def parse_mountstats(text: str) -> list[NfsMount]:
    """Return the NFS mounts, of protocol 2 to 4; one line of nonsense costs only its values."""
    mounts = []
    for lines in _sections(text.splitlines()):
        device, _, rest = lines[0].removeprefix("device ").partition(" mounted on ")
        mount = NfsMount(unescaped(rest.rpartition(" with fstype ")[0]), unescaped(device))
        _read_counts(mount, lines[1:])
        mounts.append(mount)
    return mounts


class NfsCounters:
    """Keeps the file open and tells of values that are none; a filesystem mounted twice is counted once."""

    def __init__(self, proc: Path, tell: Tell) -> None:
        self._mountstats = KernelFile(proc / "self/mountstats")
        self._mountinfo = KernelFile(proc / "self/mountinfo")
        self._faults = Faults(tell)
        self._seen: frozenset[str] = frozenset()
        self._counted: frozenset[str] = frozenset()

    def read(self, at: float) -> tuple[NfsSample, ...]:
        """Return one sample for each NFS mount; nothing, at hardly any cost, where there is none."""
        text = self._mountstats.text()
        mounts = parse_mountstats(text) if any(word in text for word in _NFS) else []
        seen = frozenset(mount.point for mount in mounts)
        if seen != self._seen:
            self._seen = seen
            self._counted = seen & {mount.point for mount in parse_mountinfo(self._mountinfo.text())}
        return tuple(self._sample(mount, at) for mount in mounts if mount.point in self._counted)

    def lack(self) -> Lack | None:
        """Say why there is nothing to read."""
        return None if self._counted else Lack("no NFS mount here")

    def _sample(self, mount: NfsMount, at: float) -> NfsSample:
        subject = f"nfs {printable(mount.point)}"
        if mount.nonsense:
            lines = "; ".join(printable(line.strip()[:60]) for line in mount.nonsense[:3])
            self._faults.say(at, subject, f"/proc/self/mountstats says no values of {printable(mount.point)}: {lines}")
        else:
            self._faults.over(subject)
        sums = mount.sums
        requests, sent = sums.get(_REQUESTS), sums.get(_SENT)
        return NfsSample(
            at=at,
            mount=printable(mount.point),
            server=printable(mount.server) or None,
            read_bytes=mount.bytes[0],
            written_bytes=mount.bytes[1],
            operations=requests,
            retransmits=None if requests is None or sent is None else max(sent - requests, 0),
            timeouts=sums.get(_TIMEOUTS),
            errors=sums.get(_ERRORS),
            response_s=_seconds(sums.get(_WIRE_MS)),
            queue_s=_seconds(sums.get(_QUEUE_MS)),
        )


def _sections(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of each NFS mount, its "device ... mounted on ..." first."""
    section: list[str] | None = None
    for line in lines:
        if line.startswith(("device ", "no device ")):
            if section:
                yield section
            section = [line] if any(word in f"{line} " for word in _NFS) else None
        elif section is not None:
            section.append(line)
    if section:
        yield section


def _read_counts(mount: NfsMount, lines: Iterable[str]) -> None:
    per_operation = False
    for line in lines:
        name, colon, rest = line.strip().partition(":")
        if per_operation:
            if name:
                _add(mount, line, rest.split() if colon else [])
        elif name == "bytes":
            numbers = [whole(text) for text in rest.split()]
            numbers += [None] * (_BYTES - len(numbers))
            mount.bytes = numbers[_SERVER_READ], numbers[_SERVER_WRITTEN]
            if None in mount.bytes:
                mount.nonsense.append(line)
        elif name == "per-op statistics":
            per_operation = True


def _add(mount: NfsMount, line: str, texts: list[str]) -> None:
    """Add one operation to the sums; what it does not tell, no sum can."""
    numbers = [whole(text) for text in texts]
    told = {index: numbers[index] if index < len(numbers) else None for index in _COUNTED}
    if None in told.values():
        mount.nonsense.append(line)
    if len(numbers) > _ERRORS or _ERRORS in mount.sums:
        told[_ERRORS] = numbers[_ERRORS] if len(numbers) > _ERRORS else None
    for index, number in told.items():
        so_far = mount.sums.get(index, 0)
        total = None if so_far is None or number is None else so_far + number
        # More than a database can keep is no count.
        mount.sums[index] = total if total is not None and total < _TOP else None


def _seconds(milliseconds: Sum) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
