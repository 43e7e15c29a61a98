"""Start: make a plan, apply it in one transaction, launch what was granted."""

import logging
from collections.abc import Mapping, Sequence

from dcdaemon.control.change import refresh, stop_again
from dcdaemon.control.desk import Desk
from dcdaemon.control.finish import reconcile
from dcdaemon.core.errors import StartFailed
from dcdaemon.core.job import Job, JobState
from dcdaemon.core.plan import Plan
from dcdaemon.core.ports import JobChange, StartOrder
from dcdaemon.scheduler.cycle import plan

log = logging.getLogger(__name__)


def run_cycle(desk: Desk) -> Plan:
    """Decide, apply, launch; returns the plan that was made."""
    with desk.book.lock:
        made = plan(desk.book.view(), desk.book.queue, desk.policy, desk.clock.now())
    if made.starts:
        launch_all(desk, apply_plan(desk, made))
    return made


def apply_plan(desk: Desk, made: Plan) -> list[Job]:
    """Grant each start whose job and GPUs are still as planned; one durable transaction for all."""
    simulated = desk.gpus_simulated
    now = desk.clock.now()
    changes = []
    for start in made.starts:
        job = desk.book.get(start.job_id)
        if job is None or job.state is not JobState.WAITING or job.held or not _usable(desk, start.gpus):
            continue
        changes.append(JobChange(job, job.mark_starting(start.node, start.gpus, simulated=simulated), now))
    granted = []
    for change, saved in zip(changes, desk.store.save(changes), strict=True):
        if saved is None:
            log.info("start refused", extra={"action": "start_refused", "job": change.before.id})
            refresh(desk, change.before.id)
            continue
        desk.book.put(saved)
        granted.append(saved)
    return granted


def _usable(desk: Desk, gpus: Sequence[int]) -> bool:
    """Tell whether these GPUs may still be given away: one may have been drained or lost since the plan."""
    return set(gpus) <= {slot.index for slot in desk.book.node.gpus if slot.blocked is None}


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
        env = {**desk.envs.load(job.spec.env_ref), **job_environment(job, desk.gpu_uuids(job.gpus))}
        desk.reports.begin(job)
        started = desk.engine.start(StartOrder(job, env, desk.gpu_uuids(job.gpus)))
    except StartFailed as error:
        log.warning("job could not be started", extra={"action": "start_failed", "job": job.id, "why": error.message})
        return JobChange(job, job.mark_ended(JobState.FAILED, now, started_at=now, run_s=0.0, cause=error.message), now)
    return JobChange(job, job.mark_running(started.pid, started.started_at), now)


def job_environment(job: Job, gpu_uuids: Sequence[str]) -> Mapping[str, str]:
    """Return what the job is told about itself; GPUs as PCI-order integers, because UUIDs break vLLM (vllm#13815)."""
    gpus = ",".join(str(gpu) for gpu in job.gpus)
    return {
        "DCD_JOB_ID": str(job.id),
        "DCD_JOB_NAME": job.spec.name,
        "DCD_ATTEMPT": str(job.attempt),
        "DCD_GPUS": gpus,
        "DCD_GPU_UUIDS": ",".join(gpu_uuids),
        "CUDA_VISIBLE_DEVICES": gpus,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
