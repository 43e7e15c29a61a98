"""What happened to the node's hardware and to its telemetry: one counted, explained row each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self


class EventKind(StrEnum):
    """The kinds of events, each with what it means; docs/telemetry.md lists them."""

    XID = "xid", "The driver told an error of a GPU by its number; one row for each code."
    GPU_LOST = "gpu_lost", "A GPU does not answer its driver any more: it fell off the bus, or needs a reset."
    GPU_FOUND = "gpu_found", "A GPU that was lost answers again."
    GPU_STALE = "gpu_stale", "One GPU hangs; its values were withdrawn, the others go on."
    DRIVER_SILENT = "driver_silent", "The whole driver does not answer; the values of all GPUs were withdrawn."
    DRIVER_RELEASED = "driver_released", "An operator let go of the driver so that it can be reloaded."
    DRIVER_RETURNED = "driver_returned", "The driver is read again."
    CHILD_REPLACED = "child_replaced", "The process that talks to the driver was replaced."
    IMPLAUSIBLE_VALUE = "implausible_value", "A reading that nothing can mean was dropped."
    COUNTER_RESET = "counter_reset", "A counter ran backwards and is counted anew from there."
    COUNTER_STUCK = "counter_stuck", "A counter stands as high as it can and counts no more until it is cleared."
    RECOVERY_ACTION = "recovery_action", "The driver asks for something to be done to a GPU, like a reset."
    UNREADABLE = "unreadable", "A file or an answer held nonsense; the value is unknown."
    COLLECTOR_FAILED = "collector_failed", "A collector of the host failed or hangs; the others go on without it."
    CLOCK_STEPPED = "clock_stepped", "The time of the node was set forward or back."
    DEVICE_GONE = "device_gone", "A device that was read until now is not there any more."
    DEVICE_NEW = "device_new", "A device is there that was not there before."
    DEVICE_RENAMED = "device_renamed", "A device goes by another name from here on."
    MOUNT_SILENT = "mount_silent", "A mounted filesystem does not answer, like that of a dead NFS server."
    MOUNT_ANSWERS = "mount_answers", "A filesystem that was silent answers again."
    DRIVE_WARNING = "drive_warning", "A drive says of itself that it wears out or fails."
    LINK_DOWN = "link_down", "A network link lost its carrier."
    LINK_UP = "link_up", "A network link is up again."
    LINK_FLAPPING = "link_flapping", "A network link comes and goes."
    SWITCH_SILENT = "switch_silent", "A switch or another device does not answer SNMP, or says why it will not."
    SWITCH_ANSWERS = "switch_answers", "A device that was silent answers SNMP again."
    OBJECT_STORE_ERROR = "object_store_error", "A probe of the object store failed."
    OBJECT_STORE_ANSWERS = "object_store_answers", "The object store answers again."
    MEMORY_HIGH = "memory_high", "A job holds nearly all of the memory it asked for."
    MEMORY_EXCEEDED = "memory_exceeded", "A job held more memory than it asked for, and was ended for it."
    BACKUP_FAILED = "backup_failed", "The daily backup of the database was not made, or old ones could not be removed."
    SAMPLES_DROPPED = "samples_dropped", "The database was away for so long that the oldest samples had to go."
    SCHEMA_CHANGED = "schema_changed", "Another version has migrated the database under the running daemon."

    meaning: str

    def __new__(cls, word: str, meaning: str = "") -> Self:
        """Make a kind of its word and its meaning, as they stand above."""
        kind = str.__new__(cls, word)
        kind._value_ = word
        kind.meaning = meaning
        return kind


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a moment; `subject` names the device, `count` how often it did in one burst."""

    at: float
    kind: EventKind
    subject: str
    message: str
    evidence: dict[str, object] = field(default_factory=dict)
    gpu: int | None = None
    job_id: int | None = None
    count: int = 1
    id: int | None = None


#: How a collector tells of an event; never blocks, callable from any thread.
Tell = Callable[[Event], None]
