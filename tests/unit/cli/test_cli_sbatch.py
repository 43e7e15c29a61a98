"""`dcd submit --sbatch`: what reaches the daemon, what is told, and what is refused before anything is queued."""

import os
import pwd
import stat
from datetime import datetime
from pathlib import Path

import documents
import pytest
from stub_daemon import Answer

from dcdaemon.cli.sbatch.environment import MARK
from dcdaemon.control import slurm_environment

GIB = 2**30
SCRIPTS = Path(__file__).parents[2] / "fixtures" / "sbatch"


def accept(asked):
    jobs = [documents.waiting(7, wish["name"], "user1", wish["gpus"], 0.0, "queued") for wish in asked.body["jobs"]]
    return Answer({"schema": 1, "jobs": jobs, "starts": ["now"] * len(jobs), "accepted": len(jobs)}, 201)


@pytest.fixture
def place(daemon, tmp_path, monkeypatch):
    """A working directory and a state directory of one's own."""
    daemon.routes["POST /v1/jobs"] = accept
    daemon.routes["GET /v1/queues"] = {**documents.queues(), "accounts": ["vision"]}
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def submit(place, daemon, dcd):
    """Submit a script of these lines with these words of the command line; return what was said, job and env."""

    def call(*lines, words=(), file="job.sh"):
        (place / file).write_text("\n".join(["#!/bin/sh", *(f"#SBATCH {line}" for line in lines), "true", ""]))
        said = dcd("submit", "--sbatch", file, *words)
        body = daemon.asked[-1].body if said.code == 0 else None
        return said, body and body["jobs"][0], body and body["env"]

    return call


def test_a_whole_script_becomes_a_job(place, daemon, dcd):
    said = dcd("submit", "--sbatch", str(SCRIPTS / "one-gpu.sh"), "--", "--resume")
    assert (said.code, said.out) == (0, "7\n")
    [job] = daemon.asked[-1].body["jobs"]
    script, argument = job.pop("argv")
    assert argument == "--resume"
    assert Path(script).read_text() == (SCRIPTS / "one-gpu.sh").read_text()
    assert job == {
        "name": "cifar-resnet", "gpus": 1, "cpus": 8, "mem_bytes": 32 * GIB, "limit_s": 129_600.0, "queue": "gpu",
        "grace_s": None, "priority": 50, "requeue": False, "held": False, "after": [], "cwd": str(place),
        "log_path": str(place / "logs/%x-%j.out"),
    }  # fmt: skip
    assert said.err.splitlines() == [
        "note: --mail-type is ignored: no mail is sent; see dcd wait and dcd events",
        "note: --mail-user is ignored: no mail is sent; see dcd wait and dcd events",
        "note: --error=logs/%x-%j.err is ignored: errors go where the output goes",
    ]


def test_without_lines_a_script_is_a_job_as_sbatch_makes_one(submit, place):
    said, job, _ = submit(file="plain.sh")
    assert said.err == ""
    assert (job["name"], job["gpus"], job["cpus"], job["limit_s"]) == ("plain.sh", 0, 1, None)
    assert job["log_path"] == str(place / "slurm-%j.out")
    assert "array" not in job


def test_the_command_line_wins_over_the_lines(submit, place):
    words = [
        "-g",
        "2",
        "-n",
        "mine",
        "-t",
        "5m",
        "-Q",
        "short",
        "-p",
        "10",
        "--log",
        "my.log",
        "--after",
        "9",
        "--hold",
    ]
    lines = ["--gpus=1 --mem-per-gpu=10G", "-J theirs -t 60 -p gpu --nice=50 -o their.log", "-d afterany:8"]
    _, job, _ = submit(*lines, words=words)
    assert (job["gpus"], job["mem_bytes"], job["name"], job["limit_s"]) == (2, 20 * GIB, "mine", 300.0)
    assert (job["queue"], job["priority"], job["held"]) == ("short", 10, True)
    assert job["log_path"] == str(place / "my.log")
    assert job["after"] == ["9"]
    assert "after_any" not in job


def test_what_the_command_line_leaves_to_its_defaults_does_not_win(submit):
    _, job, _ = submit("-c 4 --mem=8G --requeue -H --nice=100 -A vision")
    assert (job["cpus"], job["mem_bytes"], job["requeue"], job["held"]) == (4, 8 * GIB, True, True)
    assert (job["priority"], job["account"]) == (40, "vision")


@pytest.mark.parametrize(
    ("nice", "priority"), [("1", 49), ("10", 49), ("11", 48), ("100", 40), ("9999", 0), ("-20", 52)]
)
def test_niceness_lowers_the_priority(submit, nice, priority):
    assert submit(f"--nice={nice}")[1]["priority"] == priority


def test_paths_start_at_the_chosen_directory(submit, place):
    _, job, env = submit("-D runs -o out/%j.log")
    assert (job["cwd"], job["log_path"]) == (str(place / "runs"), str(place / "runs/out/%j.log"))
    assert env["SLURM_SUBMIT_DIR"] == str(place)
    assert submit("-D /data -o none")[1]["log_path"] == "/dev/null"


def test_an_array_goes_along_and_its_size_is_told_to_the_script(submit, place):
    _, job, env = submit("--array=0-15:5%2")
    assert job["array"] == "0-15:5%2"
    assert job["log_path"] == str(place / "slurm-%A_%a.out")
    told = {name: env[f"SLURM_ARRAY_TASK_{name}"] for name in ("COUNT", "MIN", "MAX", "STEP")}
    assert told == {"COUNT": "4", "MIN": "0", "MAX": "15", "STEP": "5"}


def test_the_script_is_told_what_it_asked_for(submit, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "99")
    monkeypatch.setenv("SLURM_JOB_ID", "99")
    monkeypatch.setenv("LR", "0.1")
    _, _, env = submit("-n 4 -c 2 --gpus-per-task=1 --mem-per-gpu=10G")
    slurm = {name: value for name, value in env.items() if name.startswith("SLURM_") and "SUBMIT" not in name}
    assert slurm == {
        "SLURM_NTASKS": "4", "SLURM_NPROCS": "4", "SLURM_CPUS_PER_TASK": "2", "SLURM_GPUS_PER_TASK": "1",
        "SLURM_MEM_PER_GPU": "10240", "SLURM_TASKS_PER_NODE": "4",
    }  # fmt: skip
    assert (env[MARK], env["LR"]) == ("1", "0.1")
    assert "SLURM_NTASKS" not in submit()[2]


def test_what_the_command_line_says_is_what_the_script_is_told(submit):
    _, _, env = submit("-c 4 --gpus-per-node=1 --mem-per-gpu=1G", words=["-c", "8", "-g", "2", "-m", "4G"])
    assert (env["SLURM_CPUS_PER_TASK"], env["SLURM_GPUS"], env["SLURM_MEM_PER_NODE"]) == ("8", "2", "4096")
    assert not {"SLURM_GPUS_PER_NODE", "SLURM_MEM_PER_GPU"} & set(env)


def test_client_and_daemon_mean_the_same_mark():
    assert MARK == slurm_environment.MARK


def test_exports_choose_the_variables_and_env_comes_on_top(submit, monkeypatch):
    monkeypatch.setenv("LR", "0.1")
    monkeypatch.setenv("SECRET", "x")
    _, _, env = submit("--export=LR,SEED=7", words=["--env", "EXTRA=1"])
    assert (env["LR"], env["SEED"], env["EXTRA"]) == ("0.1", "7", "1")
    assert "SECRET" not in env


# ------------------------------------------------------------ what is looked up


def test_the_id_of_an_array_means_all_of_it(submit, daemon):
    array = documents.job(120, "sweep", array_id=120, array_index=0)
    daemon.routes["GET /v1/jobs"] = {**documents.queue(), "jobs": [array, documents.job(9, "one")]}
    _, job, _ = submit("-d afterok:120:9,afternotok:120_3")
    assert job["after"] == ["120_*", "9"]
    assert job["after_not_ok"] == ["120_3"]
    assert daemon.asked[0].query["sel"] == ["120", "9"]


def test_a_singleton_waits_for_the_jobs_of_its_name(submit, daemon):
    daemon.routes["GET /v1/jobs"] = {**documents.queue(), "jobs": [documents.job(5, "solo"), documents.job(6, "solo")]}
    _, job, _ = submit("-J solo -d singleton")
    assert job["after_any"] == ["5", "6"]
    own = pwd.getpwuid(os.getuid()).pw_name
    assert (daemon.asked[0].query["name"], daemon.asked[0].query["user"]) == (["solo"], [own])


def test_a_mig_profile_becomes_a_share_and_no_kind_of_gpu(submit):
    _, job, _ = submit("--gres=gpu:1g.10gb:1")
    assert (job["gpus"], job["gpu_mem_bytes"]) == (1, 17 * 1024**3 // 2)


def test_the_kind_of_gpu_is_compared_with_what_the_node_has(submit, daemon):
    daemon.routes["GET /v1/gpus"] = {**documents.gpus(), "gpus": [documents.gpu(0), documents.gpu(1)]}
    assert submit("--gres=gpu:h100:2")[1]["gpus"] == 2
    assert submit("--gpus=H100_80GB:1")[1]["gpus"] == 1
    said, *_ = submit("--gres=gpu:a100:1")
    assert said.code == 5
    assert "asks for GPUs of the kind 'a100', and node1 has NVIDIA H100 80GB HBM3" in said.err


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--nodelist=node1", 0), ("--nodelist=node2", 5), ("--exclude=node2", 0), ("--exclude=node2,node1", 5),
        ("--exclude=node[1-4]", 5), ("--exclude=gpu[1-4]", 0), ("--exclude=node[01,03],gpu7", 5),
    ],
)  # fmt: skip
def test_a_script_for_other_nodes_is_refused(submit, line, code):
    assert submit(line)[0].code == code


def test_a_partition_is_ignored_where_there_is_one_queue_only(submit, daemon):
    only = documents.queues()["queues"][0]
    daemon.routes["GET /v1/queues"] = {**documents.queues(), "queues": [only], "accounts": []}
    said, job, _ = submit("-p gpu -A vision")
    assert not {"queue", "account"} & set(job)
    assert said.err.splitlines() == [
        f"note: --partition=gpu is ignored: there is one queue, {only['name']}",
        "note: --account=vision is ignored: no accounts are set up",
    ]
    assert submit(f"-p {only['name']}")[1]["queue"] == only["name"]


def test_where_there_is_a_choice_the_daemon_judges(submit):
    said, job, _ = submit("-p no-such-queue -A no-such-account")
    assert (job["queue"], job["account"], said.err) == ("no-such-queue", "no-such-account", "")


def test_what_the_command_line_chooses_is_not_asked_about(submit, daemon):
    _, job, _ = submit("-p gpu -A speech", words=["-Q", "main", "-A", "vision"])
    assert (job["queue"], job["account"]) == ("main", "vision")
    assert [asked.path for asked in daemon.asked] == ["/v1/jobs"]


# ------------------------------------------------------------ the copy


def test_the_job_runs_a_copy_whatever_becomes_of_the_file(submit, place):
    _, job, _ = submit(file="train.sh")
    [copy] = map(Path, job["argv"])
    (place / "train.sh").write_text("#!/bin/sh\nsomething else\n")
    assert copy.name == "train.sh"
    assert copy.read_text() == "#!/bin/sh\ntrue\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o500
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700


def test_equal_scripts_share_a_copy_and_others_do_not(submit):
    first, same, other = (submit(line)[1]["argv"] for line in ("-t 1", "-t 1", "-t 2"))
    assert first == same != other


def test_a_copy_that_cannot_be_written_is_an_error_and_nothing_is_queued(submit, daemon, tmp_path):
    (tmp_path / "state").write_text("a file, where a directory should be")
    said, *_ = submit()
    assert said.code == 1
    assert "no copy of the script could be written" in said.err
    assert daemon.asked == []


def test_srun_is_found_first_and_only_once(submit, tmp_path, monkeypatch):
    tools = str(tmp_path / "state/dcdaemon/bin")
    monkeypatch.setenv("PATH", f"/usr/bin:{tools}:/bin")
    assert submit()[2]["PATH"] == f"{tools}:/usr/bin:/bin"
    assert os.access(f"{tools}/srun", os.X_OK)


def test_a_dry_run_writes_nothing(submit, tmp_path):
    said, job, _ = submit("--gpus=2", words=["--dry-run"])
    assert said.code == 0
    assert job["gpus"] == 2
    assert not (tmp_path / "state").exists()


def test_a_script_may_come_from_standard_input(place, daemon, dcd, monkeypatch, tmp_path):
    piped = tmp_path / "piped"
    piped.write_text("#!/bin/sh\n#SBATCH -G1\ntrue\n")
    with piped.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert dcd("submit", "--sbatch", "-").code == 0
    [job] = daemon.asked[-1].body["jobs"]
    assert (job["name"], job["gpus"]) == ("sbatch", 1)


# ------------------------------------------------------------ bad input


def test_one_bad_line_is_one_error_and_nothing_is_queued(submit, daemon, tmp_path):
    said, *_ = submit("--gpus=1", "--constraint=a100")
    assert said.code == 2
    assert said.err == (
        "error: job.sh, line 3: --constraint cannot be met here\n"
        "hint: leave it out if this node will do; GPUs of a kind are asked for as --gpus=h100:2\n"
    )
    assert daemon.asked == []
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sbatch", "absent.sh"], "the batch script absent.sh cannot be read: No such file or directory"),
        (["--sbatch", "."], "the batch script . cannot be read: Is a directory"),
        (["--sbatch", "program"], "the batch script program is not text"),
        (["--sbatch", "a.sh", "--batch", "b.txt"], "--sbatch and --batch exclude each other"),
    ],
)
def test_what_is_no_script_is_refused(place, dcd, words, message):
    (place / "program").write_bytes(b"\x7fELF\xff\xfe")
    said = dcd("submit", *words)
    assert said.code == 2
    assert message in said.err


def test_a_singleton_of_an_array_is_refused(submit):
    assert "exclude each other" in submit("-d singleton -a 0-3")[0].err


def test_a_deadline_is_read_as_sbatch_reads_it_and_told_to_remove_nothing(submit):
    said, job, *_ = submit("--deadline=2026-12-01T08:00", "--begin=now+1hour")
    assert job["deadline_at"] == datetime(2026, 12, 1, 8).timestamp()  # noqa: DTZ001  by the wall clock
    assert "--deadline removes no job" in said.err
    assert "--deadline=someday is no time" in submit("--deadline=someday")[0].err
