"""Disks, filesystems, drives' health, NFS mounts and object stores; unknown is None, times are epoch seconds."""

from dataclasses import dataclass
from typing import ClassVar

from dcdaemon.core.metric import counter, fact, gauge

_DISKSTATS = "/proc/diskstats"
_MOUNTINFO = "/proc/self/mountinfo"
_MOUNTSTATS = "/proc/self/mountstats"
_SMART = "smartctl -a -j, by the sensors unit"
_LISTING = "ListObjectsV2"


@dataclass(frozen=True, slots=True)
class DiskSample:
    """Counters of one block device since boot."""

    KIND: ClassVar[str] = "disk"
    KEYS: ClassVar[tuple[str, ...]] = ("device",)

    at: float
    device: str
    read_bytes: int | None = counter("Bytes read.", _DISKSTATS, node="node_disk_read_bytes_total")
    written_bytes: int | None = counter("Bytes written.", _DISKSTATS, node="node_disk_written_bytes_total")
    reads: int | None = counter("Reads completed.", _DISKSTATS, node="node_disk_reads_completed_total")
    writes: int | None = counter("Writes completed.", _DISKSTATS, node="node_disk_writes_completed_total")
    busy_s: float | None = counter("Time with a request under way.", _DISKSTATS, node="node_disk_io_time_seconds_total")
    read_s: float | None = counter("Time reads took, summed.", _DISKSTATS, node="node_disk_read_time_seconds_total")
    write_s: float | None = counter("Time writes took, summed.", _DISKSTATS, node="node_disk_write_time_seconds_total")
    queued_s: float | None = counter(
        "Requests under way times their time: divided by time, the queue.", _DISKSTATS,
        node="node_disk_io_time_weighted_seconds_total",
    )  # fmt: skip
    in_flight: int | None = gauge("Requests under way.", _DISKSTATS, node="node_disk_io_now")
    read_latency_s: float | None = gauge("Mean time of a read since the last reading.", _DISKSTATS)
    write_latency_s: float | None = gauge("Mean time of a write since the last reading.", _DISKSTATS)
    busy_ratio: float | None = gauge("Share of time with a request under way.", _DISKSTATS)


@dataclass(frozen=True, slots=True)
class FilesystemSample:
    """How full one mounted filesystem is; sizes are None when it did not answer in time."""

    KIND: ClassVar[str] = "filesystem"
    KEYS: ClassVar[tuple[str, ...]] = ("mount",)

    at: float
    mount: str
    fstype: str | None = fact("Its type.", _MOUNTINFO, every_s=10)
    size_bytes: int | None = gauge("Size, as an unprivileged user meets it.", "statvfs", every_s=10)
    available_bytes: int | None = gauge(
        "Space left to an unprivileged user.", "statvfs", every_s=10, node="node_filesystem_avail_bytes"
    )
    files_free: int | None = gauge(
        "Files that can still be made.", "statvfs", "filesystems that count them", every_s=10,
        node="node_filesystem_files_free",
    )  # fmt: skip
    read_only: bool | None = fact("Whether nothing can be written.", _MOUNTINFO, every_s=10)
    error: str | None = fact("Why it does not answer.", "statvfs, within a deadline", every_s=10)
    files: int | None = gauge(
        "Files there can be.", "statvfs", "filesystems that count them", every_s=10, node="node_filesystem_files"
    )
    full_in_s: float | None = gauge(
        "Time until it is full, from the trend; None while it does not fill.", "trend of statvfs", every_s=10
    )
    device: str | None = fact("What is mounted.", _MOUNTINFO, every_s=10)
    #: What root alone may use: no metric of ours, but other exporters count it in.
    reserved_bytes: int | None = None

    @property
    def used_ratio(self) -> float | None:
        """Share in use, 0 to 1, as an unprivileged user meets it."""
        if not self.size_bytes or self.available_bytes is None:
            return None
        return 1 - self.available_bytes / self.size_bytes


@dataclass(frozen=True, slots=True)
class DriveSample:
    """Health of one drive, as its own firmware tells it; `at` is when it was asked."""

    KIND: ClassVar[str] = "drive"
    KEYS: ClassVar[tuple[str, ...]] = ("device",)

    at: float
    device: str
    model: str | None = fact("Its model.", _SMART, every_s=600)
    healthy: bool | None = fact("What the drive says of itself.", _SMART, every_s=600)
    wear_ratio: float | None = gauge("Share of its rated writes used up; may pass 1.", _SMART, "NVMe, SSD", every_s=600)
    spare_ratio: float | None = gauge("Spare blocks left.", _SMART, "NVMe", every_s=600)
    spare_threshold_ratio: float | None = fact("Spare blocks at which it warns.", _SMART, "NVMe", every_s=600)
    critical_warning: int | None = gauge("Bits of its critical warnings; 0 is well.", _SMART, "NVMe", every_s=600)
    media_errors: int | None = counter("Errors of the medium it could not mend.", _SMART, every_s=600)
    error_log_entries: int | None = counter("Entries of its error log.", _SMART, "NVMe, SATA", every_s=600)
    unsafe_shutdowns: int | None = counter("Times it lost power while in use.", _SMART, "NVMe", every_s=600)
    written_bytes: int | None = counter("Bytes written in its life.", _SMART, every_s=600)
    temp_c: float | None = gauge("Temperature.", _SMART, every_s=600)
    power_on_s: float | None = counter("Time it was switched on.", _SMART, every_s=600)
    reallocated_sectors: int | None = counter("Sectors replaced.", _SMART, "SATA, SAS", every_s=600)
    pending_sectors: int | None = gauge("Sectors that could not be read and wait.", _SMART, "SATA", every_s=600)
    serial: str | None = fact("Its serial number.", _SMART, every_s=600)
    error: str | None = fact("Why it was not read: asleep, or why smartctl failed.", _SMART, every_s=600)


@dataclass(frozen=True, slots=True)
class NfsSample:
    """Client counters of one NFS mount."""

    KIND: ClassVar[str] = "nfs"
    KEYS: ClassVar[tuple[str, ...]] = ("mount",)

    at: float
    mount: str
    server: str | None = fact("Server and path.", _MOUNTSTATS)
    read_bytes: int | None = counter("Bytes read from the server.", _MOUNTSTATS)
    written_bytes: int | None = counter("Bytes written to the server.", _MOUNTSTATS)
    operations: int | None = counter("Requests answered.", _MOUNTSTATS)
    retransmits: int | None = counter("Requests sent again.", _MOUNTSTATS)
    timeouts: int | None = counter("Requests that timed out.", _MOUNTSTATS)
    errors: int | None = counter("Requests answered by an error.", _MOUNTSTATS, "Linux 5.3 and later")
    response_s: float | None = counter("Time requests took, summed.", _MOUNTSTATS)
    queue_s: float | None = counter("Time requests waited to be sent, summed.", _MOUNTSTATS)


@dataclass(frozen=True, slots=True)
class ObjectStoreSample:
    """One probe of an S3-compatible object store."""

    KIND: ClassVar[str] = "object_store"
    KEYS: ClassVar[tuple[str, ...]] = ("store",)

    at: float
    store: str
    up: bool | None = fact("Whether it answered as it should.", _LISTING, every_s=60)
    latency_s: float | None = gauge("Time to connect and to list one key.", _LISTING, every_s=60)
    probes: int | None = counter("Probes made since the daemon started.", _LISTING, every_s=60)
    errors: int | None = counter("Probes that failed since the daemon started.", _LISTING, every_s=60)
    used_bytes: int | None = gauge("Bytes in the bucket.", f"{_LISTING}, all pages", every_s=3600)
    objects: int | None = gauge("Objects in the bucket.", f"{_LISTING}, all pages", every_s=3600)
    error: str | None = fact("Why the last probe failed.", _LISTING, every_s=60)
