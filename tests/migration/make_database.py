"""Write a database with one row of everything: run once at each release, with the path of the new fixture.

The file is checked in and never written again; test_migrations.py opens it for ever.
"""

import sys

from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.core.energy import IDLE, EnergyMethod, EnergyShare, Metered
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.ports import Actor, GpuMark, JobChange, Report, UsageDelta
from dcdaemon.core.samples import DiskSample, FilesystemSample, GpuSample, HostReading, HostSample, NetSample
from dcdaemon.store.sql_store import SqlStore, open_store

NOW = 1_760_000_000.0
ADA = Actor(uid=1001, gid=100, user="ada")


def write(path: str) -> None:
    store = open_store(f"sqlite:///{path}", "n1")
    store.save_gpus([GpuInfo(index, f"GPU-{index}", "NVIDIA H100", 80 << 30) for index in range(4)], NOW)
    write_jobs(store)
    write_ledger(store)
    write_samples(store)
    store.mark(GpuMark(3, "fan"), NOW, ADA)
    store.raise_anomalies([Finding("idle_gpu", "gpu 1", Severity.WARNING, "idle", {"mean_ratio": 0.01})], NOW)
    store.add_reports([Report(1, 1, NOW, 3, {"accuracy": 0.97, "epoch": 3})])
    store.add_token("ab" * 32, ADA, "laptop", NOW)
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
