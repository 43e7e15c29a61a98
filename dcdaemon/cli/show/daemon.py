"""The daemon's own state, in one line and in full."""

from datetime import UTC, datetime

from dcdaemon.cli.show.words import UNKNOWN, count, duration, memory, percent, printable, short
from dcdaemon.client.answer import Document

_FINE_S = 0.01


def status_line(status: Document) -> str:
    """Return the daemon in one line."""
    queue, gpus = status["queue"], status["gpus"]
    troubled = [duty["name"] for duty in status["duties"] if not duty["ok"]]
    parts = [
        f"dcdaemon {status['version']} on {status['node']}",
        f"{queue['running']} running, {queue['waiting']} waiting",
        f"{count(gpus['total'], 'GPU')}, {gpus['busy']} busy",
    ]
    if status["simulated"]:
        parts.append("simulated GPUs")
    if troubled:
        parts.append(f"not well: {', '.join(troubled)}")
    return printable(" · ".join(parts))


def status_text(status: Document) -> str:
    """Return duties and their last tick, queue, database, engine and versions."""
    queue, base = status["queue"], status["database"]
    up_s = (datetime.now(UTC) - datetime.fromisoformat(status["started_at"])).total_seconds()
    facts = [
        ("up", f"{short(max(up_s, 0))}, pid {status['pid']}, uid {status['uid']}"),
        ("resident", memory(status["rss_bytes"])),
        ("jobs", f"{queue['running']} running, {queue['waiting']} waiting, {queue['held']} held"),
        ("engine", status["engine"]),
        ("driver", _driver(status)),
        ("database", _database(base)),
        ("anomalies", UNKNOWN if status["open_anomalies"] is None else f"{status['open_anomalies']} open"),
        *_predictions(status.get("predictions")),
        *_forecasts(status.get("forecasts")),
    ]
    lines = [status_line(status), ""]
    lines += [f"  {name:<10} {printable(str(value))}" for name, value in facts]
    lines += ["", *(_duty(duty) for duty in status["duties"])]
    lines += ["", *(_collector(one) for one in status.get("collectors", ()) if one["running"])]
    lines += [printable(f"  {one['kind']} {one['device']}: {one['error']}") for one in status.get("troubles", ())]
    lines += [f"  config: {printable(warning)}" for warning in status["config_warnings"]]
    return "\n".join(lines)


def _predictions(told: Document | None) -> list[tuple[str, str]]:
    """Return how well run times are predicted, nothing before a job with a prediction has ended."""
    if not told or not told["jobs"]:
        return []
    by = ", ".join(f"by {name} x{one['typical_ratio']:.1f}" for name, one in told["by"].items() if one["jobs"])
    within = f"typically within x{told['typical_ratio']:.1f}, {percent(told['within_2x_ratio'])} within x2"
    return [("predicted", f"{within} ({by}; the last {count(told['jobs'], 'job')})")]


def _forecasts(told: Document | None) -> list[tuple[str, str]]:
    """Return how well starts are foretold, nothing before a job has started of which one was."""
    if not told or told["within_ratio"] is None:
        return []
    off = told["typical_error_ratio"]
    parts = [
        f"{percent(told['within_ratio'])} started within the times given at submit",
        *([] if off is None else [f"those that waited typically {percent(off)} off"]),
        *([f"{count(told['late'], 'job')} late"] if told["late"] else []),
    ]
    return [("foretold", f"{', '.join(parts)} (the last {count(told['jobs'], 'job')})")]


def _database(base: Document) -> str:
    if base.get("error"):
        return f"in trouble: {base['error']}"
    figures = [f"schema {base['schema']}", memory(base["size_bytes"]), f"{base['jobs']} jobs"]
    if base["samples_dropped"]:
        figures.append(f"{base['samples_dropped']} samples dropped")
    return f"{base['url']} ({', '.join(figures)})"


def _driver(status: Document) -> str:
    if "compute" not in status.get("roles", ["compute"]):
        return "not read, by node.roles"
    version, error = status["driver_version"], status.get("driver_error")
    return ": ".join(filter(None, [version, error])) or "none found"


def _duty(duty: Document) -> str:
    age = UNKNOWN if duty["last_tick_age_s"] is None else f"{short(duty['last_tick_age_s'])} ago"
    took = _took(duty["last_duration_s"])
    state = "ok" if duty["ok"] else f"in trouble: {duty['error']}" if duty["error"] else "LATE"
    return printable(f"  {duty['name']:<14} every {duration(duty['every_s']):<6} last {age:<10} took {took:<6} {state}")


def _collector(one: Document) -> str:
    lack = one["lack"]
    state = f"in trouble: {one['error']}" if one["error"] else lack["why"].partition(":")[0] if lack else "ok"
    return printable(f"  {one['name']:<14} {_cadence(one):<40} {state}")


def _cadence(one: Document) -> str:
    if one["every_s"] is None:
        return "follows what comes"
    age = UNKNOWN if one["last_read_age_s"] is None else f"{short(one['last_read_age_s'])} ago"
    return f"every {duration(one['every_s']):<6} last {age:<10} took {_took(one['last_duration_s'])}"


def _took(seconds: float | None) -> str:
    """Return how long a reading took: most take less than a millisecond, and some hang."""
    return f"{seconds * 1000:.1f}ms" if seconds is not None and seconds < _FINE_S else duration(seconds)
