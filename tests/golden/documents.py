"""Canned documents of the API, as the golden tables show them; ages are relative to now."""

from datetime import UTC, datetime, timedelta

GIB = 2**30


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def job(job_id: int, name: str, user: str = "user1", **changes: object) -> dict:
    return {
        "schema": 1,
        "id": job_id,
        "name": name,
        "user": user,
        "uid": 1000,
        "node": "node1",
        "state": "running",
        "held": False,
        "priority": 50,
        "gpus_asked": 1,
        "gpus": [2],
        "cpus": 1,
        "mem_bytes": 0,
        "limit_s": None,
        "argv": ["python", "train.py"],
        "cwd": "/home/user1",
        "log_path": "/var/lib/dcdaemon/logs/1.log",
        "after": [],
        "attempt": 1,
        "submitted_at": ago(5000),
        "started_at": ago(4320),
        "ended_at": None,
        "wait_s": 12.0,
        "run_s": 4320.0,
        "exit_code": None,
        "signal": None,
        "cause": None,
        "energy_j": 2628000.0,
        "gpu_s": 8640.0,
        "gpu_util_ratio": 0.93,
        "gpu_power_w": 612.0,
        "mem_peak_bytes": 40 * GIB,
        "reported": {},
        "simulated": False,
        "anomalies": [],
        "reason": None,
        **changes,
    }


def waiting(job_id: int, name: str, user: str, gpus: int, wait_s: float, short: str) -> dict:
    return job(
        job_id,
        name,
        user,
        state="waiting",
        gpus_asked=gpus,
        gpus=[],
        started_at=None,
        run_s=None,
        energy_j=None,
        gpu_s=None,
        gpu_util_ratio=None,
        gpu_power_w=None,
        mem_peak_bytes=None,
        wait_s=wait_s,
        attempt=0,
        reason={"code": "gpus_busy", "short": short},
    )


def array_task(index: int, **changes: object) -> dict:
    array = {"array_id": 120, "array_index": index, "array_limit": 5, **changes}
    return waiting(120 + index, "sweep", "user1", 1, 720.0, "the limit of array 120 is reached") | array


def array_queue() -> dict:
    running = [
        job(120 + index, "sweep", gpus=[index]) | {"array_id": 120, "array_index": index, "array_limit": 5}
        for index in range(2)
    ]
    held = array_task(42, held=True)
    tasks = [array_task(index) for index in range(2, 100) if index != 42]
    document = queue()
    return document | {"jobs": [*running, *tasks, held]}


def ended(job_id: int, name: str, state: str, **changes: object) -> dict:
    facts = {"state": state, "ended_at": ago(200), "gpu_power_w": None, "exit_code": 0, **changes}
    return job(job_id, name, **facts)


def queue() -> dict:
    return {
        "schema": 1,
        "jobs": [
            job(41, "llama-lora", gpus=[0, 1], gpus_asked=2, limit_s=14400.0),
            job(
                42,
                "vit-sweep",
                "user2",
                run_s=480.0,
                limit_s=7200.0,
                energy_j=72000.0,
                gpu_util_ratio=0.11,
                gpu_power_w=None,
                anomalies=[{"id": 7, "rule": "idle_gpu"}],
            ),
            waiting(43, "eval", "user1", 4, 720.0, "4 GPUs needed, 3 free (<2h48m)"),
            waiting(44, "big-train", "user3", 8, 120.0, "GPU 5 drained (ECC, ticket 881)"),
        ],
        "summary": {
            "running": 2,
            "waiting": 2,
            "held": 0,
            "shown": 4,
            "total": 4,
            "gpus": 8,
            "gpus_busy": 3,
            "gpus_drained": 1,
            "gpus_foreign": 1,
        },
    }


def long_queue() -> dict:
    document = queue()
    document["jobs"][0]["name"] = "a-very-long-name-for-a-training-run-of-a-language-model"
    document["jobs"][2]["reason"]["short"] = "4 GPUs needed, 3 free; job 41 ends in 2h48m at the latest, then it starts"
    return document


def gpu(index: int, **changes: object) -> dict:
    return {
        "index": index,
        "uuid": f"GPU-{index}a2b3c4d-0000-0000-0000-000000000000",
        "name": "NVIDIA H100 80GB HBM3",
        "mem_total_bytes": 80 * GIB,
        "mem_used_bytes": GIB // 2,
        "util_ratio": 0.0,
        "power_w": 71.2,
        "power_limit_w": 700.0,
        "temp_c": 31.0,
        "energy_j": 1234.0,
        "sample_age_s": 0.4,
        "health": "ok",
        "state": "free",
        "drained_reason": None,
        "job": None,
        "processes": [],
        "simulated": False,
        **changes,
    }


def gpus() -> dict:
    return {
        "schema": 1,
        "node": "node1",
        "driver_version": "580.65",
        "driver_error": None,
        "simulated": False,
        "gpus": [
            gpu(
                0,
                state="busy",
                util_ratio=0.93,
                mem_used_bytes=62 * GIB,
                power_w=612.4,
                temp_c=66.0,
                job={"id": 41, "name": "llama-lora", "user": "user1"},
                processes=[
                    {
                        "pid": 400,
                        "user": "user1",
                        "command": "python",
                        "age_s": 60.0,
                        "mem_used_bytes": GIB,
                        "job_id": 41,
                    }
                ],
            ),
            gpu(1),
            gpu(
                2,
                state="foreign",
                mem_used_bytes=21 * GIB,
                processes=[
                    {
                        "pid": 9931,
                        "user": "user4",
                        "command": "vllm",
                        "age_s": 172800.0,
                        "mem_used_bytes": 21 * GIB,
                        "job_id": None,
                    }
                ],
            ),
            gpu(5, state="drained", drained_reason="ECC, ticket 881"),
            gpu(
                6,
                state="unhealthy",
                health="lost",
                util_ratio=None,
                power_w=None,
                power_limit_w=None,
                temp_c=None,
                mem_used_bytes=None,
            ),
        ],
    }


def collector(name: str, **changes: object) -> dict:
    return {
        "name": name,
        "running": True,
        "every_s": 5.0,
        "last_read_age_s": 2.0,
        "last_duration_s": 0.001,
        "error": None,
        "lack": None,
        **changes,
    }


def status(**changes: object) -> dict:
    return {
        "schema": 1,
        "version": "0.1.0",
        "node": "node1",
        "started_at": ago(11000),
        "pid": 77,
        "uid": 0,
        "simulated": False,
        "duties": [
            {
                "name": "collect",
                "every_s": 1.0,
                "last_tick_age_s": 0.4,
                "last_duration_s": 0.01,
                "ok": True,
                "error": None,
            },
            {
                "name": "ledger",
                "every_s": 10.0,
                "last_tick_age_s": 3.0,
                "last_duration_s": 0.02,
                "ok": True,
                "error": None,
            },
        ],
        "roles": ["compute", "storage", "network"],
        "collectors": [
            collector("cpu", last_duration_s=0.00006),
            collector("disks"),
            collector("rapl", lack={"why": "no energy counters here", "fix": None, "wrong": False}),
        ],
        "troubles": [],
        "queue": {"waiting": 9, "held": 1, "running": 2},
        "gpus": {"total": 8, "busy": 3},
        "database": {
            "url": "sqlite:////nonexistent/dcdaemon.db",
            "dialect": "sqlite",
            "schema": "1",
            "size_bytes": 1048576,
            "jobs": 11,
            "samples_dropped": 0,
        },
        "engine": "local",
        "driver_version": "580.65",
        "driver_error": None,
        "open_anomalies": 2,
        "rss_bytes": 100 * 2**20,
        "config_warnings": [],
        **changes,
    }


def history() -> dict:
    jobs = [
        ended(40, "digits-cnn", "succeeded", reported={"accuracy": 0.98531, "epoch": 12}, run_s=3600.0),
        ended(39, "crasher", "failed", exit_code=3, energy_j=36000.0, gpu_s=60.0, run_s=60.0, gpu_util_ratio=None),
        ended(38, "too-long", "timed_out", exit_code=None, signal=15, cause="reached its limit of 1h"),
    ]
    return {"schema": 1, "jobs": jobs, "totals": {"jobs": 3, "gpu_s": 17340.0, "energy_j": 5292000.0}}


def energy() -> dict:
    def row(key: str, energy_j: float, gpu_s: float) -> dict:
        kwh = energy_j / 3.6e6
        return {
            "key": key,
            "energy_j": energy_j,
            "energy_kwh": kwh,
            "gpu_s": gpu_s,
            "cost": kwh / 4,
            "carbon_g": kwh * 400,
        }

    rows = [row("user1", 2628000.0, 8640.0), row("user2", 72000.0, 480.0), row("idle", 1000.0, 90000.0)]
    total = row("total", 2701000.0, 99120.0)
    return {"schema": 1, "by": "user", "rows": rows, "total": total, "currency": "EUR"}


def events() -> dict:
    base = {"schema": 1, "gpu": None, "job_id": None, "count": 1}
    silent = {"kind": "mount_silent", "subject": "/mnt/data", "message": "/mnt/data does not answer since 12 s"}
    xid = {
        "kind": "xid",
        "subject": "GPU 3",
        "message": "XID 79: GPU has fallen off the bus; the node has to be restarted",
        "gpu": 3,
        "job_id": 42,
        "count": 3,
    }
    lost = {"kind": "gpu_lost", "subject": "GPU 3", "message": "GPU 3 does not answer", "gpu": 3}
    return {
        "schema": 1,
        "events": [
            {**base, **silent, "id": 9, "at": ago(90_000), "evidence": {"silent_s": 12.0}},
            {**base, **xid, "id": 11, "at": ago(200), "evidence": {"xid": 79}},
            {**base, **lost, "id": 12, "at": ago(199), "evidence": {}},
        ],
    }


def anomalies() -> dict:
    base = {
        "severity": "warning",
        "evidence": {"mean_ratio": 0.01},
        "gpu": 2,
        "raised_at": ago(200),
        "cleared_at": None,
    }
    idle = {"id": 7, "rule": "idle_gpu", "subject": "job 42", "message": "GPU 2 has been idle for 10m", "job_id": 42}
    crash = {
        "id": 6,
        "rule": "job_crashed",
        "subject": "job 39",
        "message": "job 39 ended with exit code 3",
        "job_id": 39,
    }
    return {
        "schema": 1,
        "anomalies": [
            {**base, **idle, "acked_by": None},
            {**base, **crash, "cleared_at": ago(90), "acked_by": "user1"},
        ],
    }


def queues() -> dict:
    nothing = {"running_jobs": 0, "running_gpus": 0, "waiting_jobs": 0, "waiting_gpus": 0}
    main = {
        "name": "main", "default": True, "order": "shortest", "priority_tier": 0, "gpus": list(range(8)),
        "gpus_missing": [], "default_limit_s": None, "max_limit_s": None, "max_gpus_per_job": None,
        "max_gpus_per_user": None, "max_gpus": None, "max_jobs_per_user": None, "users": [], "accounts": [],
        "urgent": False, "preemptible": False, "min_run_s": 0.0, "running_jobs": 3, "running_gpus": 6,
        "waiting_jobs": 12, "waiting_gpus": 40, "admits_you": True,
        "yours": nothing | {"running_jobs": 2, "running_gpus": 5},
    }  # fmt: skip
    short = {
        "name": "short", "order": "fifo", "priority_tier": 1, "gpus": [6, 7], "gpus_missing": [9],
        "default_limit_s": 600.0, "max_limit_s": 3600.0, "max_gpus_per_job": 1, "max_gpus_per_user": 2,
        "max_jobs_per_user": 4, "urgent": True, "users": ["user1"], "accounts": ["vision"], "admits_you": False,
    }  # fmt: skip
    spare = {"name": "spare", "order": "fair-share", "preemptible": True, "min_run_s": 300.0, "default_limit_s": 7200.0}
    limits = [
        {"kind": "queue-user", "owner": "user2 in queue short", "used": 0.0, "most": 2, "counts": "gpus"},
        {"kind": "queue-jobs", "owner": "user2 in queue short", "used": 0.0, "most": 4, "counts": "jobs"},
        {"kind": "quota", "owner": "user2", "used": 5.25, "most": 4, "counts": "gpus"},
    ]
    return {
        "schema": 1, "node": "n1",
        "queues": [main, main | nothing | {"default": False, "yours": nothing} | short,
                   main | nothing | {"default": False, "yours": nothing} | spare],
        "gone": [],
        "you": {"user": "user2", "accounts": ["vision", "speech"], "gpus": 5, "lent_gpus": 1, "limits": limits},
    }  # fmt: skip


def share(account: str, user: str | None, used_gpu_s: float, **changes: object) -> dict:
    return {
        "account": account, "user": user, "shares": 1.0, "share_ratio": 0.25, "usage_gpu_s": used_gpu_s,
        "usage_ratio": used_gpu_s / 900_000, "factor": 2 ** -(used_gpu_s / 900_000 / 0.25), "running_gpus": 0,
        "waiting_jobs": 0, "next": None, **changes,
    }  # fmt: skip


def shares() -> dict:
    lines = [
        share("vision", None, 810_000, shares=3.0, share_ratio=0.75, factor=0.44, running_gpus=5, waiting_jobs=12),
        share("vision", "user2", 90_000, share_ratio=0.375, factor=0.83, waiting_jobs=2, next=2),
        share("vision", "user1", 720_000, share_ratio=0.375, factor=0.23, running_gpus=5, waiting_jobs=10, next=3),
        share("", None, 90_000, factor=0.76, running_gpus=1, waiting_jobs=1),
        share("", "user3", 90_000, factor=0.76, running_gpus=1, waiting_jobs=1, next=1),
    ]
    return {"schema": 1, "half_life_s": 604_800.0, "queues": ["main"], "shares": lines}


def local(*moment: int) -> str:
    """Return a time of the wall clock here, which looks the same in every zone."""
    return datetime(*moment).astimezone().isoformat()


def booking(booking_id: int, name: str, gpus: list[int], window: tuple[str, str], **changes: object) -> dict:
    return {
        "id": booking_id, "name": name, "state": "planned", "from_at": window[0], "until_at": window[1], "users": [],
        "accounts": [], "node": "n1", "gpus": gpus, "reason": "", "booked_by": "root",
        "booked_at": local(2026, 11, 30, 8, 0), "unbooked_at": None, "jobs": [], "in_the_way": [], **changes,
    }  # fmt: skip


def bookings() -> dict:
    course = (local(2026, 12, 1, 9, 0), local(2026, 12, 1, 13, 0))
    night = (local(2026, 12, 1, 22, 0), local(2026, 12, 2, 2, 0))
    rows = [
        booking(
            3, "course", [4, 5, 6, 7], course, users=["ada", "bob"], accounts=["course"], state="open", jobs=[41, 42],
            reason="week 12",
        ),
        booking(4, "", [0, 1], night, reason="new cables", in_the_way=[40]),
        booking(5, "deadline of the big workshop", list(range(8)), (night[1], local(2026, 12, 9, 0, 0)), users=["eve"]),
    ]  # fmt: skip
    return {"schema": 1, "node": "n1", "bookings": rows}
