"""Which keys the documents of the API have, and of which kind each is."""

import re
from datetime import datetime

from scene import Scene

from dcdaemon.core.energy import EnergyMethod, EnergyShare, Metered
from dcdaemon.core.metric import metrics_of
from dcdaemon.core.ports import UsageDelta
from dcdaemon.core.samples import GpuSample

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
NUMBER, MAYBE = (int, float), type(None)
JOB = {
    "schema": int, "id": int, "name": str, "user": str, "uid": int, "node": str, "state": str, "held": bool,
    "priority": int, "gpus_asked": int, "gpus": list, "cpus": int, "mem_bytes": int, "limit_s": (*NUMBER, MAYBE),
    "argv": list, "cwd": str, "log_path": (str, MAYBE), "after": list, "attempt": int, "submitted_at": str,
    "started_at": (str, MAYBE), "ended_at": (str, MAYBE), "wait_s": NUMBER, "run_s": (*NUMBER, MAYBE),
    "exit_code": (int, MAYBE), "signal": (int, MAYBE), "cause": (str, MAYBE), "energy_j": (*NUMBER, MAYBE),
    "gpu_s": (*NUMBER, MAYBE), "gpu_util_ratio": (*NUMBER, MAYBE), "gpu_power_w": (*NUMBER, MAYBE),
    "mem_peak_bytes": (int, MAYBE), "reported": dict, "simulated": bool, "anomalies": list, "reason": (dict, MAYBE),
    "after_any": list, "after_not_ok": list, "queue": str, "account": str, "begin_at": (str, MAYBE),
    "array_id": (int, MAYBE), "array_index": (int, MAYBE), "array_limit": (int, MAYBE), "gpu_instance": (str, MAYBE),
    "gpu_mem_bytes": (int, MAYBE),
    "checkpoint_signal": (str, MAYBE), "checkpoint_s": (float, MAYBE), "launcher": (str, MAYBE), "ranks": (int, MAYBE),
    "hang_after_s": (float, MAYBE), "deadline_at": (str, MAYBE), "deadline_met": (bool, MAYBE),
    "gpu_mem_runs": (int, MAYBE),
    "preemptible": bool, "lent": bool, "predicted_s": (*NUMBER, MAYBE), "predicted_by": (str, MAYBE),
    "forecast_at": (str, MAYBE),
    "forecast_low_at": (str, MAYBE), "forecast_high_at": (str, MAYBE), "preempted": int, "lost_s": NUMBER,
    "private": bool,
}  # fmt: skip
ANOMALY = {
    "id": int, "rule": str, "severity": str, "subject": str, "message": str, "evidence": dict,
    "job_id": (int, MAYBE), "gpu": (int, MAYBE), "raised_at": str, "cleared_at": (str, MAYBE), "acked_by": (str, MAYBE),
}  # fmt: skip
GPU = {
    "index": int, "uuid": str, "name": str, "mem_total_bytes": (int, MAYBE), "mem_used_bytes": (int, MAYBE),
    "util_ratio": (*NUMBER, MAYBE), "power_w": (*NUMBER, MAYBE), "power_limit_w": (*NUMBER, MAYBE),
    "temp_c": (*NUMBER, MAYBE), "sm_clock_hz": (int, MAYBE), "energy_j": (*NUMBER, MAYBE),
    "sample_age_s": (*NUMBER, MAYBE), "health": str, "state": str, "blocked_detail": (str, MAYBE),
    "drained_reason": (str, MAYBE), "job": (dict, MAYBE), "jobs": list, "processes": list, "simulated": bool,
    "cut": bool, "pci_bus_id": (str, MAYBE), "clock_events": (list, MAYBE), "migs": list, "bookings": list,
}  # fmt: skip
GPU |= {metric.attribute: (*NUMBER, MAYBE) for metric in metrics_of(GpuSample) if metric.attribute not in GPU}
ENERGY = {
    "key": str, "energy_j": NUMBER, "energy_kwh": NUMBER, "gpu_s": NUMBER, "cost": (*NUMBER, MAYBE),
    "carbon_g": (*NUMBER, MAYBE),
}  # fmt: skip


def assert_shape(document: dict, shape: dict) -> None:
    assert document.keys() == shape.keys()
    wrong = {key: value for key, value in document.items() if not isinstance(value, shape[key])}
    assert wrong == {}
    for key, value in document.items():
        if key.endswith("_at") and value is not None:
            assert TIME.fullmatch(value), key


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def used(scene: Scene, job_id: int) -> None:
    now = scene.clock.now()
    shares = (EnergyShare("n1", 0, 0, 1000, 5.0), EnergyShare("n1", 0, job_id, 123_400, 20.0))
    metered = Metered("n1", 0, now - 25.0, now, 124_400, EnergyMethod.COUNTER, shares, 124_400)
    scene.store.book([metered], [UsageDelta(job_id, 18.6, 20.0, 5 << 30)])
