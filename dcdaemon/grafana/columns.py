"""How a column of a query is shown: its title, its unit as Grafana names it, and the colours of its words."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """Title, unit and colours of one column."""

    title: str
    unit: str | None = None
    decimals: int | None = None
    colours: dict[str, str] = field(default_factory=dict)


_SEVERITY = {"critical": "red", "warning": "orange", "info": "blue"}
_STATE = {
    "running": "green", "held": "purple", "succeeded": "green", "failed": "red", "timed_out": "orange",
    "out_of_memory": "red", "lost": "red", "interrupted": "orange", "preempted": "blue", "cancelled": "text",
}  # fmt: skip

COLUMNS = {
    "running": Shown("Running"),
    "waiting": Shown("Waiting"),
    "held": Shown("Held"),
    "busy": Shown("With a job"),
    "drained": Shown("Drained"),
    "all_gpus": Shown("All"),
    "power_w": Shown("Power", "watt"),
    "jobs_kwh": Shown("Jobs", "kwatth", 2),
    "idle_kwh": Shown("Idle", "kwatth", 2),
    "energy_kwh": Shown("Energy", "kwatth", 3),
    "open_anomalies": Shown("Open"),
    "gpu": Shown("GPU"),
    "model": Shown("Model"),
    "kind": Shown("Kind", colours={"simulated": "orange", "real": "text"}),
    "job_id": Shown("Job"),
    "job": Shown("Name"),
    "user_name": Shown("User"),
    "util_ratio": Shown("GPU utilisation", "percentunit", 0),
    "temp_c": Shown("Temperature", "celsius"),
    "mem_used_bytes": Shown("Memory used", "bytes", 1),
    "mem_total_bytes": Shown("Memory", "bytes", 1),
    "gpus_asked": Shown("GPUs"),
    "gpus": Shown("GPUs"),
    "priority": Shown("Priority"),
    "state": Shown("State", colours=_STATE),
    "exit_code": Shown("Exit"),
    "queued_ms": Shown("Queued", "dateTimeAsLocal"),
    "started_ms": Shown("Started", "dateTimeAsLocal"),
    "ended_ms": Shown("Ended", "dateTimeAsLocal"),
    "raised_ms": Shown("Raised", "dateTimeAsLocal"),
    "wait_s": Shown("Wait", "dtdurations"),
    "run_s": Shown("Run", "dtdurations"),
    "gpu_hours": Shown("GPU-hours", decimals=2),
    "utc_day": Shown("Day (UTC)"),
    "severity": Shown("Severity", colours=_SEVERITY),
    "rule": Shown("Rule"),
    "subject": Shown("Subject"),
    "message": Shown("What was found"),
    "acked_by": Shown("Seen by"),
}


def overrides(names: tuple[str, ...]) -> list[Json]:
    """Return Grafana's field overrides for a query's columns; raise KeyError for one nobody described."""
    return [{"matcher": {"id": "byName", "options": name}, "properties": _properties(COLUMNS[name])} for name in names]


def _properties(shown: Shown) -> list[Json]:
    properties: list[Json] = [{"id": "displayName", "value": shown.title}]
    if shown.unit is not None:
        properties.append({"id": "unit", "value": shown.unit})
    if shown.decimals is not None:
        properties.append({"id": "decimals", "value": shown.decimals})
    if shown.colours:
        words = {word: {"color": colour, "index": index} for index, (word, colour) in enumerate(shown.colours.items())}
        properties.append({"id": "mappings", "value": [{"type": "value", "options": words}]})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    return properties
