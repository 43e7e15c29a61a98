"""Everything the host collectors read in one sweep, and how each of them is doing."""

from collections.abc import Iterator
from dataclasses import dataclass

from dcdaemon.core.collector import CollectorReport
from dcdaemon.core.samples.host import BmcSample, HostSample, RaplSample, SensorSample
from dcdaemon.core.samples.network import IbSample, NetSample, SwitchPortSample, SwitchSample
from dcdaemon.core.samples.storage import DiskSample, DriveSample, FilesystemSample, NfsSample, ObjectStoreSample

Sample = (
    HostSample | SensorSample | RaplSample | BmcSample
    | DiskSample | FilesystemSample | DriveSample | NfsSample | ObjectStoreSample
    | NetSample | IbSample | SwitchPortSample | SwitchSample
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostReading:
    """What is new since the last sweep: a collector with a slower cadence is empty in most of them."""

    host: HostSample
    disks: tuple[DiskSample, ...] = ()
    filesystems: tuple[FilesystemSample, ...] = ()
    nets: tuple[NetSample, ...] = ()
    others: tuple[Sample, ...] = ()
    collectors: tuple[CollectorReport, ...] = ()

    def samples(self) -> Iterator[Sample]:
        """Return every sample, of whatever kind."""
        yield self.host
        yield from self.disks
        yield from self.filesystems
        yield from self.nets
        yield from self.others
