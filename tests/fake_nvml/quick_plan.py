"""The plan of the telemetry child at the speed of tests."""

from dcdaemon.telemetry.gpu_plan import Plan, usual_plan

INTERVAL_S = 0.2


def quick_plan(interval_s: float = INTERVAL_S) -> Plan:
    """Return the usual plan at the speed of tests: where it says seconds, intervals are meant, and ten at most."""
    usual = usual_plan(interval_s)
    return Plan(interval_s, {name: min(every_s, 10) * interval_s for name, every_s in usual.every.items()})
