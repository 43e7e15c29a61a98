"""One reading of each kind of hardware; the fields, described in place, are the table of all metrics."""

from dcdaemon.core.collector import CollectorReport, Lack
from dcdaemon.core.samples.gpu import CLOCK_EVENT_BITS, GpuReading, GpuSample, MigSample, averaged
from dcdaemon.core.samples.host import BmcSample, HostSample, RaplSample, SensorSample
from dcdaemon.core.samples.network import IbSample, NetSample, SwitchPortSample, SwitchSample
from dcdaemon.core.samples.reading import HostReading, Sample
from dcdaemon.core.samples.storage import DiskSample, DriveSample, FilesystemSample, NfsSample, ObjectStoreSample

AnySample = GpuSample | MigSample | Sample

#: Every kind of sample, in the order of docs/telemetry.md.
KINDS: tuple[type, ...] = (
    GpuSample, MigSample, HostSample, SensorSample, RaplSample, BmcSample, DiskSample, FilesystemSample, DriveSample,
    NfsSample, ObjectStoreSample, NetSample, IbSample, SwitchPortSample, SwitchSample,
)  # fmt: skip

__all__ = [
    "CLOCK_EVENT_BITS",
    "KINDS",
    "AnySample",
    "BmcSample",
    "CollectorReport",
    "DiskSample",
    "DriveSample",
    "FilesystemSample",
    "GpuReading",
    "GpuSample",
    "HostReading",
    "HostSample",
    "IbSample",
    "Lack",
    "MigSample",
    "NetSample",
    "NfsSample",
    "ObjectStoreSample",
    "RaplSample",
    "Sample",
    "SensorSample",
    "SwitchPortSample",
    "SwitchSample",
    "averaged",
]  # fmt: skip
