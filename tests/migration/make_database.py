"""Write a database with one row of everything: run once at each release, with the path of the new fixture.

The file is checked in and never written again; test_migrations.py opens it for ever.
"""

import sys
from dataclasses import replace

from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.core.booking import Booking
from dcdaemon.core.energy import IDLE, EnergyMethod, EnergyShare, Metered
from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, GpuMark, JobChange, Report, UsageDelta
from dcdaemon.core.prediction import ExpectedStart, Prediction, Source
from dcdaemon.core.samples import DiskSample, FilesystemSample, GpuSample, HostReading, HostSample, NetSample
from dcdaemon.core.token import Token, TokenRole
from dcdaemon.store.sql_store import SqlStore, open_store

NOW = 1_760_000_000.0
ADA = Actor(uid=1001, gid=100, user="ada")
BOOKED = Booking(
    0, "n1", (2, 3), NOW + 3600, NOW + 7200, users=("bob",), accounts=("vision",), name="course", reason="exam",
    booked_by="ada", booked_at=NOW,
)  # fmt: skip


def write(path: str) -> None:
    store = open_store(f"sqlite:///{path}", "n1")
    store.save_gpus([GpuInfo(index, f"GPU-{index}", "NVIDIA H100", 80 << 30) for index in range(4)], NOW)
    write_jobs(store)
    write_queued(store)
    write_shared(store)
    write_launched(store)
    write_ledger(store)
    write_samples(store)
    store.mark(GpuMark(3, "fan"), NOW, ADA)
    store.add_booking(BOOKED, ADA)
    store.save_events([Event(NOW, EventKind.XID, "gpu 2", "XID 79", {"xid": 79}, gpu=2, job_id=1)])
    store.raise_anomalies([Finding("idle_gpu", "gpu 1", Severity.WARNING, "idle", {"mean_ratio": 0.01})], NOW)
    store.add_reports([Report(1, 1, NOW, 3, {"accuracy": 0.97, "epoch": 3})])
    store.add_token(Token("ab" * 32, "laptop", 1001, 100, "ada", TokenRole.SUBMITTER, NOW, "ada"), ADA)
    store.roll_up(NOW + 7200)
    store.close()


def write_jobs(store: SqlStore) -> None:
    argv = ("python", "train.py", "--näme", "x y")
    asked = [JobSpec(argv, "/home/ada", 1001, 100, "ada", name, "e1", gpus=2) for name in ("short", "long")]
    after = JobSpec(("true",), "/", 1001, 100, "ada", "later", "e1", after=(1,), held=True)
    short, long, _ = store.submit([*asked, after], NOW, ADA)
    running = save(store, short, (2, 3))
    told = running.with_report({"accuracy": 0.97, "epoch": 3})
    ended = told.mark_ended(JobState.SUCCEEDED, NOW + 60, run_s=60.0, exit_code=0)
    store.save([JobChange(running, told, NOW), JobChange(told, ended, NOW + 60)])
    save(store, long, (0, 1))


def write_queued(store: SqlStore) -> None:
    """Queue an array whose tasks run one at a time, after jobs of each kind of dependency, with predictions."""
    asked = JobSpec(
        ("python", "sweep.py"), "/home/ada", 1001, 100, "ada", "sweep", "e2", gpus=1, limit_s=3600.0, queue="night",
        account="vision", begin_at=NOW + 600, array_id=-1, array_index=0, array_limit=1, after_any=(2,),
        after_not_ok=(1,), preemptible=True, requeue=True,
    )  # fmt: skip
    start = ExpectedStart(NOW + 900, NOW + 700, NOW + 1800)
    known = Prediction(1200.0, Source.HISTORY, 0.4, start)
    store.submit([asked, replace(asked, array_index=1)], NOW, ADA, [known, known])


def write_shared(store: SqlStore) -> None:
    """Have two jobs run on parts of one GPU, and one job that gave way to others wait again."""
    part = JobSpec(("python", "infer.py"), "/", 1002, 100, "bob", "part", "e3", gpus=1, gpu_mem_bytes=20 << 30)
    for job in store.submit([part, part], NOW, ADA):
        save(store, job, (2,))
    (given_way,) = store.submit([replace(part, name="gave-way", gpu_mem_bytes=None, preemptible=True)], NOW, ADA)
    running = save(store, given_way, (3,))
    ended = running.mark_ended(JobState.PREEMPTED, NOW + 30, run_s=30.0, signal=15, cause="preempted")
    again = ended.mark_requeued(NOW + 30).with_loss(12.5)
    store.save([JobChange(running, ended, NOW + 30), JobChange(ended, again, NOW + 30, action="requeue")])


def write_launched(store: SqlStore) -> None:
    """Queue a job of four ranks that saves its work on a signal, and has learned how much memory it needs."""
    asked = JobSpec(
        ("python", "ddp.py"), "/", 1001, 100, "ada", "ranks", "e4", gpus=1, limit_s=3600.0, deadline_at=NOW + 9000,
        gpu_mem_bytes=8 << 30, gpu_mem_runs=3, checkpoint_signal="USR1", checkpoint_s=120.0, launcher="torchrun",
        ranks=4, hang_after_s=600.0,
    )  # fmt: skip
    store.submit([asked], NOW, ADA)


def save(store: SqlStore, job: Job, gpus: tuple[int, ...]) -> Job:
    starting = job.mark_starting("n1", gpus, simulated=False)
    running = starting.mark_running(4242, NOW)
    store.save([JobChange(job, starting, NOW), JobChange(starting, running, NOW)])
    return running


def write_ledger(store: SqlStore) -> None:
    shares = (EnergyShare("n1", 2, 1, 1_200_000, 60.0), EnergyShare("n1", 2, IDLE, 300_000, 30.0))
    metered = Metered("n1", 2, NOW - 90, NOW, 1_500_000, EnergyMethod.COUNTER, shares, 9_000_000)
    store.book([metered], [UsageDelta(1, 45.0, 60.0, 21 << 30)])


def write_samples(store: SqlStore) -> None:
    host = HostReading(
        HostSample(NOW, 0.5, 1.0, 100, 50, 0),
        (DiskSample(NOW, "nvme0n1", 1, 2, 3, 4, 5.0),),
        (FilesystemSample(NOW, "/", "ext4", 1000, 400, 9, read_only=False),),
        (NetSample(NOW, "eth0", 1, 2, 3, 4, 5, 6, up=True, speed_bps=10**9),),
    )
    store.record([GpuSample(NOW, 0.0, 0, util_ratio=0.75, power_w=310.5), *host.samples()])
    store.flush_samples()


if __name__ == "__main__":
    write(sys.argv[1])
