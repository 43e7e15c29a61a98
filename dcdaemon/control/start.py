"""Start: make a plan, apply it in one transaction, launch what was granted."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dcdaemon.control import change as changing
from dcdaemon.control.bookings import disturbs
from dcdaemon.control.change import stop_again
from dcdaemon.control.desk import Desk
from dcdaemon.control.finish import reconcile
from dcdaemon.control.remember import standing
from dcdaemon.control.slurm_environment import MARK, slurm_environment
from dcdaemon.control.together import refresh
from dcdaemon.core.errors import NotFound, Refused, StartFailed
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.plan import Plan, Preemption, Start
from dcdaemon.core.ports import JobChange, StartOrder
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.preempt import preempt
from dcdaemon.scheduler.shares import capacity_bytes

log = logging.getLogger(__name__)
_OF_ARRAY = "DCD_ARRAY_"
_SHARE, _INSTANCE = "DCD_GPU_MEM_BYTES", "DCD_GPU_INSTANCE"
_SIGNAL = "DCD_CHECKPOINT_SIGNAL"
#: What is of one job alone: a job that another one submits has none of it by that.
_OWN = (_SHARE, _INSTANCE, _SIGNAL)


def run_cycle(desk: Desk) -> Plan:
    """Decide, apply, launch, and have jobs make room for those that may ask for it; returns the plan that was made."""
    now = desk.clock.now()
    with desk.book.lock:
        desk.book.pass_time(now)
        view = replace(desk.book.view(), standing=standing(desk, now))
        made = plan(view, desk.book.queue, desk.policy, now)
        desk.memory.keep(made)
        asked = preempt(view, desk.book.queue, desk.policy, made, now) if not made.starts else None
    if made.starts:
        launch_all(desk, apply_plan(desk, made))
    if asked is not None:
        make_room(desk, asked)
    return made


def make_room(desk: Desk, asked: Preemption) -> None:
    """Ask all victims to end; one that ended meanwhile has made its room."""
    for job_id in asked.victims:
        try:
            changing.preempt(desk, job_id)
        except (Refused, NotFound) as error:
            log.info("not preempted: %s", error.message, extra={"action": "preempt_refused", "job": job_id})
            continue
        log.info("preempted", extra={"action": "preempt", "job": job_id, "for": asked.job_id})


def apply_plan(desk: Desk, made: Plan) -> list[Job]:
    """Grant each start whose job and GPUs are still as planned; one durable transaction for all."""
    with desk.granting:
        return _grant(desk, made)


def _grant(desk: Desk, made: Plan) -> list[Job]:
    simulated = desk.gpus_simulated
    now = desk.clock.now()
    changes: list[JobChange] = []
    for start in made.starts:
        job = desk.book.get(start.job_id)
        if job is None or job.state is not JobState.WAITING or job.held or not _usable(desk, start):
            continue
        if disturbs(desk.book.bookings, replace(job, gpus=start.gpus, started_at=None), made.made_at):
            continue
        if _overfull(desk, job, start, [change.after for change in changes]):
            continue
        started = job.mark_starting(start.node, start.gpus, simulated=simulated, gpu_instance=start.gpu_instance)
        changes.append(JobChange(job, started, now))
    granted = []
    for change, saved in zip(changes, desk.store.save(changes), strict=True):
        if saved is None:
            log.info("start refused", extra={"action": "start_refused", "job": change.before.id})
            refresh(desk, change.before.id)
            continue
        desk.book.put(saved)
        granted.append(saved)
    return granted


def _usable(desk: Desk, start: Start) -> bool:
    """Tell whether these GPUs may still be given away: one may have been drained, lost or cut since the plan."""
    open_slots = [slot for slot in desk.book.node.gpus if slot.blocked is None]
    if start.gpu_instance is None:
        return set(start.gpus) <= {slot.index for slot in open_slots if slot.instances is None}
    of_gpu = (one for slot in open_slots if slot.index in start.gpus for one in slot.instances or ())
    return any(one.name == start.gpu_instance and one.blocked is None for one in of_gpu)


def _overfull(desk: Desk, job: Job, start: Start, granted: Sequence[Job]) -> bool:
    """Tell whether a share is more than others leave of its GPU by now; an instance is no share."""
    share = job.spec.gpu_mem_bytes
    if share is None or start.gpu_instance is not None:
        return False
    [gpu] = start.gpus
    slot = next(slot for slot in desk.book.node.gpus if slot.index == gpu)
    others = (other.spec.gpu_mem_bytes or 0 for other in (*desk.book.active(), *granted) if gpu in other.gpus)
    return sum(others) + share > capacity_bytes(slot)


def launch_all(desk: Desk, jobs: Sequence[Job]) -> None:
    """Launch granted jobs, then write down in one transaction which of them run."""
    changes = [launch(desk, job) for job in jobs]
    overtaken = []
    for change, saved in zip(changes, desk.store.save(changes), strict=True):
        if saved is not None:
            desk.settle([saved])
            continue
        newest = refresh(desk, change.before.id)
        if newest is not None and newest.state is JobState.STOPPING:
            # Asked to stop while it was being launched: the request could not reach the shim then.
            stop_again(desk, newest)
        overtaken.append(change.before.id)
    # By a stop, or by a report of the job itself; only the engine knows whether it runs.
    reconcile(desk, overtaken)


def launch(desk: Desk, job: Job) -> JobChange:
    """Hand one attempt to the engine and return the change to be stored."""
    now = desk.clock.now()
    try:
        env = with_environment(job, desk.envs.load(job.spec.env_ref), _uuids(desk, job))
        desk.reports.begin(job)
        started = desk.engine.start(_order(desk, job, env))
    except StartFailed as error:
        log.warning("job could not be started", extra={"action": "start_failed", "job": job.id, "why": error.message})
        return JobChange(job, job.mark_ended(JobState.FAILED, now, started_at=now, run_s=0.0, cause=error.message), now)
    return JobChange(job, job.mark_running(started.pid, started.started_at), now)


def _order(desk: Desk, job: Job, env: Mapping[str, str]) -> StartOrder:
    return StartOrder(job, env, _uuids(desk, job), _port(desk, job), desk.gpu_minors(job.gpus))


def _uuids(desk: Desk, job: Job) -> tuple[str, ...]:
    """Return the UUIDs of a job's GPUs, or that of its instance; raise StartFailed for one that is gone."""
    if job.gpu_instance is None:
        return desk.gpu_uuids(job.gpus)
    uuid = desk.instance_uuid(job.gpus, job.gpu_instance)
    if uuid is None:
        raise StartFailed(f"the MIG instance {job.gpu_instance} of GPU {job.gpus[0]} is gone", "dcd gpus lists them")
    return (uuid,)


def _port(desk: Desk, job: Job) -> int | None:
    if job.spec.launcher is None:
        return None
    return desk.ports.take(job.id, {other.id for other in desk.book.active()})


def with_environment(job: Job, kept: Mapping[str, str], gpu_uuids: Sequence[str]) -> dict[str, str]:
    """Return the environment a job was submitted with, and what it is told about itself; as Slurm does, if it asks."""
    own = job_environment(job, gpu_uuids)
    # A job that an array submitted is not one of the array, and one that a share submitted has no share by that.
    kept = {key: value for key, value in kept.items() if not key.startswith(_OF_ARRAY) and key not in _OWN}
    return {**kept, **own, **(slurm_environment(job) if MARK in kept else {})}


def job_environment(job: Job, gpu_uuids: Sequence[str]) -> Mapping[str, str]:
    """Return what the job is told about itself; GPUs as PCI-order integers, because UUIDs break vLLM (vllm#13815).

    A MIG instance can be told by its UUID only (NVIDIA's MIG guide, "CUDA Device Enumeration").
    """
    gpus = ",".join(str(gpu) for gpu in job.gpus)
    return {
        "DCD_JOB_ID": str(job.id),
        "DCD_JOB_NAME": job.spec.name,
        "DCD_ATTEMPT": str(job.attempt),
        "DCD_GRACE_S": f"{job.spec.grace_s:g}",
        "DCD_GPUS": gpus,
        "DCD_GPU_UUIDS": ",".join(gpu_uuids),
        "CUDA_VISIBLE_DEVICES": gpus if job.gpu_instance is None else ",".join(gpu_uuids),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        **({} if job.spec.gpu_mem_bytes is None else {_SHARE: str(job.spec.gpu_mem_bytes)}),
        **({} if job.gpu_instance is None else {_INSTANCE: job.gpu_instance}),
        **({} if job.spec.checkpoint_signal is None else {_SIGNAL: job.spec.checkpoint_signal}),
        **_array_environment(job),
    }


def _array_environment(job: Job) -> Mapping[str, str]:
    if job.spec.array_id is None:
        return {}
    return {_OF_ARRAY + "ID": str(job.spec.array_id), _OF_ARRAY + "INDEX": str(job.spec.array_index)}
