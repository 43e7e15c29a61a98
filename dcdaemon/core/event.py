"""What happened to the node's hardware and to its telemetry: one counted, explained row each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class EventKind(StrEnum):
    """The kinds of events; docs/telemetry.md tells what each one means."""

    XID = "xid"
    GPU_LOST = "gpu_lost"
    GPU_FOUND = "gpu_found"
    GPU_STALE = "gpu_stale"
    DRIVER_SILENT = "driver_silent"
    DRIVER_RELEASED = "driver_released"
    DRIVER_RETURNED = "driver_returned"
    CHILD_REPLACED = "child_replaced"
    IMPLAUSIBLE_VALUE = "implausible_value"
    COUNTER_RESET = "counter_reset"
    RECOVERY_ACTION = "recovery_action"
    UNREADABLE = "unreadable"
    CLOCK_STEPPED = "clock_stepped"
    DEVICE_GONE = "device_gone"
    DEVICE_NEW = "device_new"
    DEVICE_RENAMED = "device_renamed"
    MOUNT_SILENT = "mount_silent"
    MOUNT_ANSWERS = "mount_answers"
    DRIVE_WARNING = "drive_warning"
    LINK_DOWN = "link_down"
    LINK_UP = "link_up"
    LINK_FLAPPING = "link_flapping"
    SWITCH_SILENT = "switch_silent"
    SWITCH_ANSWERS = "switch_answers"
    OBJECT_STORE_ERROR = "object_store_error"
    SAMPLES_DROPPED = "samples_dropped"


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
