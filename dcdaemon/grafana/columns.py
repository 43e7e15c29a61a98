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
    #: What a number stands for.
    words: dict[int, str] = field(default_factory=dict)


_SEVERITY = {"critical": "red", "warning": "orange", "info": "blue"}
_STATE = {
    "running": "green", "held": "purple", "succeeded": "green", "failed": "red", "timed_out": "orange",
    "out_of_memory": "red", "lost": "red", "interrupted": "orange", "preempted": "blue", "cancelled": "text",
}  # fmt: skip

_UP = {"up": "green", "down": "red"}
#: What field 230 of the driver asks for.
_RECOVERY = {0: "nothing", 1: "GPU reset", 2: "node reboot", 3: "drain P2P", 4: "drain and reset"}

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
    "nodes": Shown("Nodes"),
    "node": Shown("Node"),
    "sm_active_ratio": Shown("SM active", "percentunit", 0),
    "tensor_active_ratio": Shown("Tensor cores active", "percentunit", 0),
    "at_ms": Shown("Time", "dateTimeAsLocal"),
    "event": Shown("Event"),
    "what": Shown("What happened"),
    "times": Shown("Times"),
    "last_xid": Shown("Last XID"),
    "recovery_action": Shown("Action asked for", words=_RECOVERY),
    "ecc_corrected_volatile": Shown("ECC corrected"),
    "ecc_uncorrected_volatile": Shown("ECC uncorrected"),
    "rows_remapped_correctable": Shown("Rows remapped, correctable"),
    "rows_remapped_uncorrectable": Shown("Rows remapped, uncorrectable"),
    "row_remap_pending": Shown("Remap pending"),
    "row_remap_failed": Shown("Remap failed"),
    "retired_pages": Shown("Pages retired"),
    "temp_margin_c": Shown("Margin to slowdown", "celsius"),
    "pcie_link_gen": Shown("PCIe generation"),
    "pcie_link_gen_max": Shown("Best generation"),
    "pcie_link_width": Shown("PCIe lanes"),
    "pcie_link_width_max": Shown("All lanes"),
    "nvlink_links_up": Shown("NVLinks up"),
    "nvlink_links": Shown("All NVLinks"),
    "mount": Shown("Mount"),
    "device": Shown("Device"),
    "fstype": Shown("Type"),
    "size_bytes": Shown("Size", "bytes", 1),
    "available_bytes": Shown("Available", "bytes", 1),
    "used_ratio": Shown("Used", "percentunit", 1),
    "full_in_s": Shown("Full in", "dtdurations"),
    "files_free": Shown("Files free"),
    "read_only": Shown("Read-only", colours={"read-only": "orange"}),
    "error": Shown("Error"),
    "store": Shown("Store"),
    "up": Shown("Link", colours=_UP),
    "enabled": Shown("Meant to be", colours=_UP),
    "latency_s": Shown("Latency", "s"),
    "used_bytes": Shown("Used", "bytes", 1),
    "objects": Shown("Objects"),
    "healthy": Shown("Health", colours={"well": "green", "failing": "red"}),
    "wear_ratio": Shown("Worn", "percentunit", 1),
    "spare_ratio": Shown("Spare", "percentunit", 0),
    "media_errors": Shown("Media errors"),
    "reallocated_sectors": Shown("Reallocated"),
    "pending_sectors": Shown("Pending"),
    "unsafe_shutdowns": Shown("Unsafe shutdowns"),
    "power_on_s": Shown("Switched on", "dtdurations"),
    "switch": Shown("Switch"),
    "uptime_s": Shown("Running for", "dtdurations"),
    "port": Shown("Port"),
    "speed_bps": Shown("Speed", "bps"),
    "errors_in": Shown("Errors in"),
    "errors_out": Shown("Errors out"),
    "drops_in": Shown("Drops in"),
    "drops_out": Shown("Drops out"),
    "physical_state": Shown("Physical"),
    "link_layer": Shown("Layer"),
    "link_downed": Shown("Link downs"),
    "symbol_errors": Shown("Symbol errors"),
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
    if shown.words:
        options = {str(number): {"text": word, "index": number} for number, word in shown.words.items()}
        properties.append({"id": "mappings", "value": [{"type": "value", "options": options}]})
    return properties
