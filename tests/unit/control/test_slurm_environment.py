"""The SLURM_ variables of a job whose environment asks for them, and of one whose does not."""

from dataclasses import replace

from scene import ADA, ENV, NODE, Scene

from dcdaemon.control.slurm_environment import MARK, slurm_environment
from dcdaemon.control.submit import submit
from dcdaemon.core.job import Job


def started(scene: Scene, env: dict[str, str], **fields: object) -> tuple[Job, dict[str, str]]:
    [job] = submit(scene.desk, ADA, [scene.wish(**fields)], env)
    scene.cycle()
    return scene.job(job), dict(scene.engine.order_of(scene.job(job)).env)


def test_a_script_of_slurm_is_told_which_job_it_is_and_where(scene):
    job, env = started(scene, {**ENV, MARK: "1", "SLURM_NTASKS": "4"}, gpus=2, cpus=8, name="ft")
    slurm = {name: value for name, value in env.items() if name.startswith("SLURM")}
    assert slurm == {
        "SLURM_JOB_ID": str(job.id), "SLURM_JOBID": str(job.id), "SLURM_JOB_NAME": "ft", "SLURM_JOB_USER": "ada",
        "SLURM_JOB_UID": "1001", "SLURM_JOB_GID": "1001", "SLURM_JOB_NODELIST": NODE, "SLURM_NODELIST": NODE,
        "SLURMD_NODENAME": NODE, "SLURM_JOB_NUM_NODES": "1", "SLURM_NNODES": "1", "SLURM_NODEID": "0",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_CPUS_ON_NODE": "8", "SLURM_JOB_CPUS_PER_NODE": "8",
        "SLURM_GPUS_ON_NODE": "2", "SLURM_JOB_GPUS": "0,1", "SLURM_NTASKS": "4",
        "SLURM_JOB_PARTITION": job.spec.queue,
    }  # fmt: skip
    assert env["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_a_job_inside_such_a_job_is_told_its_own_id(scene):
    _, outer = started(scene, {**ENV, MARK: "1"})
    job, inner = started(scene, outer)
    assert inner["SLURM_JOB_ID"] == str(job.id) != outer["SLURM_JOB_ID"]


def test_other_jobs_are_told_nothing_of_slurm(scene):
    _, env = started(scene, ENV)
    assert not [name for name in env if name.startswith("SLURM")]


def test_queue_account_array_and_restarts_are_told_where_there_are_any(scene):
    job = scene.run()
    spec = replace(job.spec, queue="long", account="vision", array_id=120, array_index=3)
    told = slurm_environment(replace(job, spec=spec, attempt=3))
    assert told["SLURM_JOB_PARTITION"] == "long"
    assert told["SLURM_JOB_ACCOUNT"] == "vision"
    assert (told["SLURM_ARRAY_JOB_ID"], told["SLURM_ARRAY_TASK_ID"]) == ("120", "3")
    assert told["SLURM_RESTART_COUNT"] == "2"
    assert "SLURM_RESTART_COUNT" not in slurm_environment(job)


def test_a_job_without_gpus_has_no_variables_about_them(scene):
    _, env = started(scene, {**ENV, MARK: "1"}, gpus=0)
    assert not [name for name in env if name.startswith("SLURM") and "GPU" in name]
