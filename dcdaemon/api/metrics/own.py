"""The metrics that are no reading of a device: GPUs as the scheduler sees them, events, jobs, and the daemon itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from dcdaemon.api.metrics.text import Page, Value


@dataclass(frozen=True, slots=True)
class Own:
    """One family: its type, its labels and what it means."""

    kind: str
    labels: tuple[str, ...]
    meaning: str


_GPU = ("gpu", "uuid")

#: All of them by name; docs/telemetry.md lists them from here.
OWN: dict[str, Own] = {
    "dcd_sample_age_seconds": Own("gauge", ("kind",), "Age of the oldest value shown, by kind of device."),
    "dcd_gpu_info": Own("gauge", (*_GPU, "name", "pci_bus_id", "driver_version"), "What the GPU is; always 1."),
    "dcd_gpu_up": Own("gauge", _GPU, "1 while the GPU answers: its sample is fresh and tells no error."),
    "dcd_gpu_sample_age_seconds": Own(
        "gauge", _GPU, "Age of the newest sample of the GPU, also when it was withdrawn."
    ),
    "dcd_driver_up": Own("gauge", (), "1 while the driver of the GPUs answers."),
    "dcd_gpu_allocated": Own("gauge", _GPU, "1 while a job holds the GPU."),
    "dcd_gpu_blocked": Own("gauge", (*_GPU, "reason"), "1 while the GPU may not be given to a job, by reason."),
    "dcd_job_gpu_info": Own(
        "gauge",
        ("gpu", "job_id", "name", "user", "instance"),
        "The job that holds a GPU, to join on gpu, or a MIG instance of it; always 1.",
    ),
    "dcd_events_total": Own("counter", ("kind",), "Events since the daemon started, by kind."),
    "dcd_gpu_xid_events_total": Own("counter", (*_GPU, "xid"), "XIDs since the daemon started, by GPU and code."),
    "dcd_event_rows_dropped_total": Own("counter", (), "Events that were counted, but not stored."),
    "dcd_samples_dropped_total": Own(
        "counter", (), "Readings that were not stored: the database was away for too long."
    ),
    "dcd_jobs": Own("gauge", ("state",), "Unfinished jobs by state; held ones are not counted as waiting."),
    "dcd_jobs_ended_total": Own("counter", ("state",), "Jobs that have ended since the daemon started, by how."),
    "dcd_prediction_typical_ratio": Own(
        "gauge", ("by",), "Every second of the last predictions of a run time was within this factor of the truth."
    ),
    "dcd_start_forecast_within_ratio": Own(
        "gauge", (), "Share of the last jobs that started within the times given at submit; meant to be 0.8."
    ),
    "dcd_build_info": Own("gauge", ("version", "python", "node", "engine"), "What runs here; always 1."),
    "dcd_simulated": Own("gauge", (), "1 where the GPUs are simulated."),
    "dcd_ledger_booked_timestamp_seconds": Own("gauge", (), "Up to when energy is in the ledger."),
    "dcd_duty_up": Own("gauge", ("duty",), "1 while the duty ticks in time and without trouble."),
    "dcd_duty_last_tick_age_seconds": Own("gauge", ("duty",), "Time since the duty ticked."),
    "dcd_duty_last_duration_seconds": Own("gauge", ("duty",), "Time its last tick took."),
    "dcd_duty_ticks_total": Own("counter", ("duty",), "Times the duty ticked."),
    "dcd_collector_up": Own("gauge", ("collector",), "1 while the collector has something to read and reads it."),
    "dcd_collector_last_read_age_seconds": Own("gauge", ("collector",), "Time since it read."),
    "dcd_collector_last_duration_seconds": Own("gauge", ("collector",), "Time its last reading took."),
    "process_cpu_seconds_total": Own("counter", (), "CPU time of the daemon, without its children."),
    "process_start_time_seconds": Own("gauge", (), "When it was started."),
    "process_virtual_memory_bytes": Own("gauge", (), "Its address space."),
    "process_resident_memory_bytes": Own("gauge", (), "Its resident memory."),
    "process_threads": Own("gauge", (), "Its threads."),
    "process_open_fds": Own("gauge", (), "Its open file descriptors."),
    "process_max_fds": Own("gauge", (), "As many it may have."),
}


def write(page: Page, name: str, rows: Iterable[tuple[str, Value]]) -> None:
    """Add one of these families to the page."""
    of = OWN[name]
    page.family(name, of.kind, of.meaning, rows)
