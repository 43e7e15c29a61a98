"""One history of a node and its neighbour, on which every query of every board is run."""

from pathlib import Path

from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.core.energy import IDLE, EnergyMethod, EnergyShare, Metered
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, GpuMark, JobChange, UsageDelta
from dcdaemon.core.samples import GpuSample
from dcdaemon.store.sql_store import SqlStore, open_store
from tests.contract.board_hardware import NOW, gpu_signals, hardware

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
HOUR, DAY = 3600, 86400
MIDNIGHT = NOW - 13 * HOUR  # 2025-11-08 00:00 UTC
OLD = NOW - 3 * DAY  # longer ago than samples are kept one by one
GIB = 1024**3
KWH = 3_600_000_000
ADA = Actor(uid=1001, gid=1001, user="ada")


def spec(name: str, user: str, **asked: object) -> JobSpec:
    return JobSpec(("train",), "/", 1001, 1001, user, name, "env", **asked)  # type: ignore[arg-type]


def change(store: SqlStore, before: Job, after: Job, at: float) -> Job:
    (stored,) = store.save([JobChange(before, after, at)])
    assert stored is not None
    return stored


def run_job(store: SqlStore, job: Job, gpus: tuple[int, ...], started_at: float) -> Job:
    job = change(store, job, job.mark_starting(store.node, gpus, simulated=False), started_at)
    return change(store, job, job.mark_running(4711, started_at), started_at)


def end_job(store: SqlStore, job: Job, state: JobState, ended_at: float, exit_code: int) -> Job:
    run_s = ended_at - (job.started_at or 0)
    return change(store, job, job.mark_ended(state, ended_at, run_s=run_s, exit_code=exit_code), ended_at)


def metered(store: SqlStore, gpu: int, to_at: float, job_id: int, energy_mj: int, held_s: float) -> Metered:
    share = EnergyShare(store.node, gpu, job_id, energy_mj, held_s)
    return Metered(store.node, gpu, to_at - held_s, to_at, energy_mj, EnergyMethod.COUNTER, (share,), None)


def sample(at: int, gpu: int, util: float | None, power_w: float, mem_gib: int, temp_c: float) -> GpuSample:
    mem = {"mem_used_bytes": mem_gib * GIB, "mem_total_bytes": 80 * GIB}
    signals = gpu_signals(at - (NOW - 20), util)
    return GpuSample(float(at), 0.0, gpu, util_ratio=util, power_w=power_w, temp_c=temp_c, **mem, **signals)


def fill_jobs(store: SqlStore) -> None:
    short, long = store.submit([spec("short", "ada", gpus=1)], NOW - 7200, ADA) + store.submit(
        [spec("long", "ada", gpus=1)], NOW - 700, ADA
    )
    store.submit([spec("second", "bob", gpus=2)], NOW - 300, ADA)
    store.submit([spec("later", "bob", gpus=1, priority=90, held=True)], NOW - 250, ADA)
    store.submit([spec("first", "bob", gpus=1, priority=70)], NOW - 100, ADA)
    (again,) = store.submit([spec("again", "bob", gpus=1, priority=10)], NOW - 9000, ADA)
    end_job(store, run_job(store, short, (0,), NOW - 7100), JobState.SUCCEEDED, NOW - 3500, exit_code=0)
    failed = end_job(store, run_job(store, again, (0,), NOW - 3000), JobState.FAILED, NOW - 1000, exit_code=1)
    change(store, failed, failed.mark_requeued(NOW - 200), NOW - 200)
    run_job(store, long, (0,), NOW - 600)


def fill_gpus(store: SqlStore) -> None:
    infos = [
        GpuInfo(0, "GPU-a", "H100", 80 * GIB),
        GpuInfo(1, "GPU-b", "H100", 80 * GIB, simulated=True),
    ]
    store.save_gpus(infos, NOW - 5 * DAY)
    store.mark(GpuMark(1, "fan", "ada", NOW - 60), NOW - 60, ADA)
    for at, util in ((OLD, 0.1), (OLD + 20, 0.2), (OLD + 40, 0.6)):
        store.record([sample(at, 0, util, 100, 10, 40)])
    for ago, util, power_w, mem_gib in (
        (20, 0.2, 100, 10),
        (15, 0.4, 200, 11),
        (10, 0.8, 300, 12),
        (5, 0.6, 500, 13),
    ):
        store.record([sample(NOW - ago, 0, util, power_w, mem_gib, 40 + mem_gib)])
    store.record([sample(NOW - 5, 1, None, 70, 1, 35), sample(NOW, 0, 1.0, 400, 14, 54)])
    store.record(list(hardware()))
    store.flush_samples()
    store.prune(NOW + 120)


def fill_ledger(store: SqlStore) -> None:
    booked = [
        metered(store, 0, MIDNIGHT - 2 * DAY, IDLE, 9 * KWH, HOUR),  # before the first whole day
        metered(store, 0, MIDNIGHT - DAY + 3 * HOUR - 1, IDLE, KWH // 5, HOUR),  # that day, before the time shown
        metered(store, 0, NOW - 3500, 1, KWH // 2, HOUR),
        metered(store, 0, NOW - 1, 2, KWH // 10, 600),
        metered(store, 1, NOW - 1, IDLE, KWH * 3 // 10, HOUR),
    ]
    store.book(booked, [UsageDelta(1, 2700, 3600, None), UsageDelta(2, 540, 600, None)])
    found = [
        Finding("idle_gpu", "gpu 0", Severity.WARNING, "GPU 0 idles", job_id=2, gpu=0),
        Finding("gpu_lost", "gpu 1", Severity.CRITICAL, "GPU 1 is lost", gpu=1),
    ]
    told = [
        Event(NOW - 2 * DAY, EventKind.XID, "gpu 0", "before the time shown"),
        Event(NOW - 40.0, EventKind.XID, "gpu 0", "XID 94", {"xid": 94}, gpu=0, job_id=2, count=3),
        Event(NOW - 5.0, EventKind.LINK_DOWN, "eth0", "eth0 lost its carrier"),
    ]
    store.save_events(told)
    anomalies = store.raise_anomalies(found, NOW - 30)
    store.clear_anomalies([row.id for row in anomalies if row.finding.rule == "gpu_lost"], NOW - 10)


def fill_neighbour(store: SqlStore) -> None:
    """Another node in the same database, none of whose rows may show."""
    store.save_gpus([GpuInfo(0, "GPU-z", "A100", 40 * GIB)], NOW)
    (job,) = store.submit([spec("elsewhere", "eve", gpus=1)], NOW - 50, ADA)
    run_job(store, job, (0,), NOW - 40)
    store.submit([spec("elsewhere too", "eve", gpus=1)], NOW - 50, ADA)
    store.record([sample(NOW - 2, 0, 0.5, 999, 20, 90), *hardware()])
    store.save_events([Event(NOW - 5.0, EventKind.XID, "gpu 0", "elsewhere")])
    store.book([metered(store, 0, NOW - 1, job.id, 7 * KWH, 60)], [])
    store.raise_anomalies([Finding("idle_gpu", "gpu 0", Severity.WARNING, "elsewhere")], NOW - 30)


def fill(url: str) -> None:
    here, there = open_store(url, "n1"), open_store(url, "n2")
    fill_gpus(here)
    fill_jobs(here)
    fill_ledger(here)
    fill_neighbour(there)
    there.flush_samples()
    there.roll_up(NOW + 120)
    here.close()
    there.close()
