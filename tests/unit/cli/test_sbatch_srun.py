"""`srun` and `scontrol show hostnames` as a script finds them: real processes, started through the kept tools."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dcdaemon.cli.sbatch.step import Step, read_step, task_environment
from dcdaemon.cli.sbatch.tools import keep_tools
from dcdaemon.core.errors import BadInput, StoreUnavailable

JOB = {
    "PATH": os.environ["PATH"], "SLURM_JOB_ID": "12", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "node1",
    "CUDA_VISIBLE_DEVICES": "4,5,6,7", "SLURMD_NODENAME": "node1.example.org",
}  # fmt: skip


@pytest.fixture
def tools(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return keep_tools()


@pytest.fixture
def srun(tools, tmp_path):
    def call(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["srun", *words], env={**JOB, **env, "PATH": f"{tools}:{os.environ['PATH']}"}, cwd=tmp_path,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return call


# ------------------------------------------------------------ reading


def test_tasks_that_would_have_no_gpu_of_their_own_are_refused():
    assert read_step(["-n", "2", "--gpus-per-task=2", "true"], JOB).gpus_per_task == 2
    with pytest.raises(BadInput, match="3 tasks need 6 GPUs with --gpus-per-task=2, and the job has 4"):
        read_step(["-n", "3", "--gpus-per-task=2", "true"], JOB)
    with pytest.raises(BadInput, match="the job has 0"):
        read_step(["--gpus-per-task=2", "true"], {**JOB, "CUDA_VISIBLE_DEVICES": ""})


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (["python", "x.py", "-n", "4"], Step(("python", "x.py", "-n", "4"), 2)),
        (["-n", "4", "true"], Step(("true",), 4)),
        (["-n1", "-l", "-u", "--mpi=pmix", "true"], Step(("true",), 1)),
        (["--ntasks-per-node=3", "true"], Step(("true",), 3)),
        (["--tasks-per-node=3", "true"], Step(("true",), 3)),
        (["-N1", "-c", "8", "--gpus-per-task=h100:2", "true"], Step(("true",), 2, 2)),
        (["-o", "%t.log", "-e", "%t.err", "-D", "/", "true"], Step(("true",), 2, None, "%t.log", "%t.err", "/")),
        (["--exclusive=user", "--kill-on-bad-exit=1", "--cpu_bind=none", "true"], Step(("true",), 2, kill_others=True)),
        (["-K", "--export=ALL,A=1", "true"], Step(("true",), 2, export="ALL,A=1", kill_others=True)),
        (["--wait=5", "-W", "5", "--unbuffered", "--", "true"], Step(("true",), 2)),
    ],
)
def test_options_end_at_the_command(words, step):
    assert read_step(words, JOB) == step


@pytest.mark.parametrize(
    ("env", "tasks", "gpus"),
    [
        ({}, 1, None),
        ({"SLURM_NTASKS_PER_NODE": "4"}, 4, None),
        ({"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "4"}, 2, None),
        ({"SLURM_NTASKS": "2", "SLURM_GPUS_PER_TASK": "1"}, 2, 1),
    ],
)
def test_what_is_not_said_comes_from_the_job(env, tasks, gpus):
    step = read_step(["true"], env)
    assert (step.ntasks, step.gpus_per_task) == (tasks, gpus)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no command is given"),
        (["-n", "2"], "no command is given"),
        (["--pty", "bash"], "--pty cannot be met here"),
        (["--multi-prog", "conf"], "--multi-prog cannot be met here"),
        (["--container-image=x", "true"], "--container-image cannot be met here"),
        (["--no-such-option", "true"], "option --no-such-option not recognized"),
        (["-N2", "true"], "the job needs 2 nodes"),
        (["-n", "2", "--mpi=pmix", "true"], "MPI is not set up"),
        (["-n", "many", "true"], "is no number of tasks"),
        (["-n"], "option -n requires argument"),
    ],
)
def test_what_cannot_be_met_is_refused(words, message):
    with pytest.raises(BadInput) as caught:
        read_step(words, JOB)
    assert message in caught.value.message


def test_each_task_has_its_rank_and_its_gpus():
    step = Step(("true",), 2, gpus_per_task=2)
    first, second = (task_environment(step, rank, JOB) for rank in range(2))
    assert (first["SLURM_PROCID"], first["CUDA_VISIBLE_DEVICES"]) == ("0", "4,5")
    assert (second["SLURM_PROCID"], second["CUDA_VISIBLE_DEVICES"]) == ("1", "6,7")
    assert second["SLURM_NTASKS"] == second["SLURM_STEP_NUM_TASKS"] == "2"
    assert task_environment(Step(("true",)), 0, JOB)["CUDA_VISIBLE_DEVICES"] == "4,5,6,7"
    assert "CUDA_VISIBLE_DEVICES" not in task_environment(step, 0, {})


# ------------------------------------------------------------ running


def test_every_task_runs_and_is_told_which_it_is(srun):
    done = srun("sh", "-c", 'echo "$SLURM_PROCID/$SLURM_NTASKS in $SLURM_JOB_ID"')
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["0/2 in 12", "1/2 in 12"]
    assert done.stderr == "srun: 2 tasks on this node; ranks are in SLURM_PROCID, MPI is not set up\n"


def test_one_task_needs_no_word(srun):
    done = srun("-n1", "echo", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_the_highest_exit_code_counts(srun):
    assert srun("sh", "-c", "exit $((3 * SLURM_PROCID))").returncode == 3
    assert srun("-n1", "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


def test_each_task_may_have_a_file_of_its_own(srun, tmp_path):
    assert srun("-o", "%j_%t_%N.log", "sh", "-c", "echo out; echo err >&2").returncode == 0
    assert (tmp_path / "12_0_node1.log").read_text() == (tmp_path / "12_1_node1.log").read_text() == "out\nerr\n"
    srun("-n1", "-e", "%x.err", "sh", "-c", "echo err >&2", SLURM_JOB_NAME="a/b")
    assert (tmp_path / "a_b.err").read_text() == "err\n"


def test_one_failed_task_ends_the_others_where_that_is_asked_for(srun):
    script = '[ "$SLURM_PROCID" = 1 ] && exit 7; exec sleep 600'
    assert srun("-K", "sh", "-c", script).returncode == 128 + signal.SIGTERM


def test_a_program_that_is_not_there_is_an_error(srun):
    done = srun("-n1", "no-such-program")
    assert done.returncode == 1
    assert done.stderr == "srun: error: no-such-program: No such file or directory\n"


def test_a_signal_reaches_every_task(tools, tmp_path):
    tell = f"trap 'echo $SLURM_PROCID >> {tmp_path}/told; exit 0' USR1"
    script = f"{tell}; touch {tmp_path}/up.$SLURM_PROCID; sleep 600 & wait"
    env = {**JOB, "PATH": f"{tools}:{os.environ['PATH']}"}
    with subprocess.Popen(["srun", "sh", "-c", script], env=env, stderr=subprocess.DEVNULL, process_group=0) as step:
        while len(list(tmp_path.glob("up.*"))) < 2:
            assert step.poll() is None
            time.sleep(0.005)
        step.send_signal(signal.SIGUSR1)
        assert step.wait(60) == 0
        with contextlib.suppress(ProcessLookupError):  # the sleeps, if they were begun
            os.killpg(step.pid, signal.SIGKILL)
    assert sorted((tmp_path / "told").read_text().split()) == ["0", "1"]


@pytest.mark.parametrize("words", ["show hostnames", "show hostname", "show hostnames node1"])
def test_the_names_of_the_nodes_are_known(tools, words):
    done = subprocess.run(
        [str(tools / "scontrol"), *words.split()], env=JOB, capture_output=True, text=True, check=True
    )
    assert done.stdout == "node1\n"


def test_the_rest_of_scontrol_is_refused(tools):
    done = subprocess.run(
        [str(tools / "scontrol"), "requeue", "12"], env=JOB, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "only 'scontrol show hostnames' is known" in done.stderr


def test_the_tools_are_written_once_and_only_for_their_user(tools):
    before = (tools / "srun").stat()
    assert keep_tools() == tools
    assert (tools / "srun").stat().st_ino == before.st_ino
    assert tools.stat().st_mode & 0o777 == 0o700


def test_tools_that_cannot_be_written_are_an_error(tmp_path, monkeypatch):
    (tmp_path / "dcdaemon").write_text("a file, where a directory should be")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(StoreUnavailable, match="srun could not be written"):
        keep_tools()
