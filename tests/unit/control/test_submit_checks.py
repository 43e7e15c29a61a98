"""What a submit refuses at the door, word for word, and that nothing of it is kept."""

import math

import pytest
from scene import ADA, BOB, ENV, GIB, ROOT, Scene

from dcdaemon.control.desk import Rules
from dcdaemon.control.submit import MAX_ENV_BYTES, MAX_JOBS, submit
from dcdaemon.core.errors import BadInput, DcdError, NeverFits, NotFound, Refused
from dcdaemon.core.job import JobState
from dcdaemon.core.ports import JobQuery

COMMAND_HINT = "write it after --, like: dcd submit -g 1 -- python train.py"
LONG_HINT = "put long arguments into a file"
ABSOLUTE = "working directory and log must be absolute paths"
ABSOLUTE_HINT = "dcd submit makes them so by itself"
LIMIT = "the time limit must be more than 0 and less than ten years"
GRACE = "the grace time must be between 0 and a day"
AHEAD = "the time before the limit must be between 0 and a day"
HANG = "a job hangs after 1 second to 30 days of silence"
NEGATIVE = "GPUs, CPUs and memory cannot be negative"
NAME = "the job's name is too long or not printable"
NUL = "the job contains a NUL byte"

REFUSALS = [
    (
        {"limit_s": 30.0, "checkpoint_signal": "USR1", "checkpoint_s": 60.0}, BadInput,
        "the signal is due 1m before a time limit of 30s", "ask for a longer limit with -t, or for the signal later",
    ),
    ({"argv": ()}, BadInput, "the job has no command", COMMAND_HINT),
    ({"argv": ("", "x")}, BadInput, "the job has no command", COMMAND_HINT),
    ({"argv": ("x" * 131_072,)}, BadInput, "the command line is too long for the system", LONG_HINT),
    ({"argv": ("é" * 65_536,)}, BadInput, "the command line is too long for the system", LONG_HINT),
    ({"argv": ("x" * 131_000,) * 9}, BadInput, "the command line is too long for the system", LONG_HINT),
    ({"argv": ("a\0b",)}, BadInput, NUL, "remove it"),
    ({"cwd": "/a\0b"}, BadInput, NUL, "remove it"),
    ({"log_path": "/a\0b"}, BadInput, NUL, "remove it"),
    ({"name": "a\0b"}, BadInput, NUL, "remove it"),
    ({"cwd": "work"}, BadInput, ABSOLUTE, ABSOLUTE_HINT),
    ({"cwd": ""}, BadInput, ABSOLUTE, ABSOLUTE_HINT),
    ({"log_path": "out.log"}, BadInput, ABSOLUTE, ABSOLUTE_HINT),
    ({"name": "n" * 201}, BadInput, NAME, "use at most 200 printable characters"),
    ({"name": "tab\there"}, BadInput, NAME, "use at most 200 printable characters"),
    ({"gpus": -1}, BadInput, NEGATIVE, "use -g 0 for a job without a GPU"),
    ({"cpus": -1}, BadInput, NEGATIVE, "use -g 0 for a job without a GPU"),
    ({"mem_bytes": -1}, BadInput, NEGATIVE, "use -g 0 for a job without a GPU"),
    ({"limit_s": 0}, BadInput, LIMIT, "write it like -t 2h"),
    ({"limit_s": -1.0}, BadInput, LIMIT, "write it like -t 2h"),
    ({"limit_s": math.nan}, BadInput, LIMIT, "write it like -t 2h"),
    ({"limit_s": math.inf}, BadInput, LIMIT, "write it like -t 2h"),
    ({"grace_s": -0.1}, BadInput, GRACE, "write it like --grace 30s"),
    ({"grace_s": 86_401}, BadInput, GRACE, "write it like --grace 30s"),
    ({"grace_s": math.nan}, BadInput, GRACE, "write it like --grace 30s"),
    (
        {"checkpoint_signal": "KILL"}, BadInput, "signal 'KILL' is not one of USR1, USR2, HUP, INT, TERM, CONT",
        "write it like --signal USR1, or --signal USR1@60s",
    ),
    (
        {"checkpoint_signal": "TERM", "launcher": "torchrun"}, BadInput, "TERM would end the launcher",
        "use --signal USR1 or USR2 with --launcher",
    ),
    ({"checkpoint_s": -1.0}, BadInput, AHEAD, "write it like --signal USR1@60s"),
    ({"checkpoint_s": math.nan}, BadInput, AHEAD, "write it like --signal USR1@60s"),
    ({"hang_after_s": 0.0}, BadInput, HANG, "write it like --hang-after 30m"),
    ({"hang_after_s": math.inf}, BadInput, HANG, "write it like --hang-after 30m"),
    ({"ranks": 2}, BadInput, "a number of ranks needs a launcher", "add --launcher torchrun"),
    (
        {"launcher": "torchrun", "gpus": 0}, BadInput, "without a GPU nobody knows how many ranks to start",
        "ask for GPUs (-g 2), or add --nproc 2",
    ),
    ({"priority": -1}, BadInput, "priority -1 is not between 0 and 100", "50 is the default"),
    ({"priority": 101}, BadInput, "priority 101 is not between 0 and 100", "50 is the default"),
    (
        {"priority": 51}, Refused, "priority 51 is above 50, which only an operator may give", "use -p 50 or lower",
    ),
    ({"after": ("7",)}, NotFound, "there is no job 7", "dcd ps -a lists all jobs"),
    (
        {"after": ("tomorrow",)}, BadInput, "'tomorrow' selects no job",
        "use an id (42), a range (3-7), an array (120_3, 120_*), last, @~1, all, or a name (name:prep)",
    ),
    (
        {"gpus": 5}, NeverFits, "this job asks for 5 GPUs, this node has 4",
        "ask for less, or see `dcd gpus` for what this node has",
    ),
    (
        {"cpus": 33}, NeverFits, "this job asks for 33 CPUs, this node has 32",
        "ask for less",
    ),
    (
        {"mem_bytes": 257 * GIB}, NeverFits, "this job asks for 257 GiB of memory, this node has 256 GiB",
        "ask for less",
    ),
]  # fmt: skip


def refusal(scene: Scene, *wishes, actor=ADA, env=ENV) -> DcdError:
    with pytest.raises(DcdError) as caught:
        submit(scene.desk, actor, wishes, env)
    assert scene.store.jobs(JobQuery()) == []
    assert scene.envs.kept == {}
    assert scene.wakes == 0
    return caught.value


@pytest.mark.parametrize(("fields", "kind", "message", "hint"), REFUSALS)
def test_what_is_wrong_is_told_and_nothing_is_kept(scene, fields, kind, message, hint):
    error = refusal(scene, scene.wish(**fields))
    assert (type(error), error.message, error.hint) == (kind, message, hint)


@pytest.mark.parametrize(
    "fields",
    [
        {"gpus": 4, "cpus": 32, "mem_bytes": 256 * GIB},
        {"gpus": 0, "cpus": 0},
        {"limit_s": 0.001},
        {"limit_s": 10 * 365 * 86400 - 1},
        {"grace_s": 0},
        {"grace_s": 86_400},
        {"priority": 0},
        {"priority": 50},
        {"name": "n" * 200},
        {"name": "größer 模型"},
        {"argv": ("x" * 131_071,)},
        {"argv": ("train.py", "")},
    ],
)
def test_what_is_just_within_bounds_is_accepted(scene, fields):
    [job] = submit(scene.desk, ADA, [scene.wish(**fields)], ENV)
    for field, value in fields.items():
        assert getattr(job.spec, field) == value


def test_one_bad_job_refuses_them_all(scene):
    error = refusal(scene, scene.wish(), scene.wish(gpus=9), scene.wish())
    assert isinstance(error, NeverFits)


@pytest.mark.parametrize("count", [0, MAX_JOBS + 1])
def test_the_number_of_jobs_in_a_request_is_bounded(scene, count):
    error = refusal(scene, *[scene.wish()] * count)
    assert error.message == f"{count} jobs in one request"
    assert error.hint == "send 1 to 10000 jobs at a time"


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0"}, {"A": "\ud800"}])
def test_a_malformed_environment_is_refused(scene, env):
    error = refusal(scene, scene.wish(), env=env)
    assert error.message == f"environment variable {next(iter(env))!r} is malformed"
    assert error.hint == "a name has no '=', and nothing a NUL byte"


def test_an_environment_may_hold_bytes_that_are_no_text(scene):
    env = {"LS_COLORS": "caf\udce9"}
    [job] = submit(scene.desk, ADA, [scene.wish()], env)
    assert scene.envs.load(job.spec.env_ref) == env


def test_an_environment_that_is_too_large_is_refused(scene):
    error = refusal(scene, scene.wish(), env={"A": "x" * MAX_ENV_BYTES})
    assert error.message == "the environment has 2097155 bytes, at most 2097152 are kept"
    assert error.hint == "unset what is not needed"


def test_only_root_s_daemon_runs_jobs_of_others():
    scene = Scene(rules=Rules(daemon_uid=ADA.uid))
    error = refusal(scene, scene.wish(), actor=BOB)
    assert error.message == "this daemon runs as uid 1001 and cannot run jobs for bob"
    assert error.hint == "run your own with `dcd daemon run`, or ask for the daemon to be installed as a service"
    assert scene.submit(actor=ADA).spec.user == "ada"


def test_an_operator_may_give_any_priority(scene):
    assert scene.submit(actor=ROOT, priority=100).priority == 100


def test_a_job_is_its_submitter_s_whatever_it_asks(scene):
    [job] = submit(scene.desk, BOB, [scene.wish()], {"USER": "root", "A": "1"})
    assert (job.spec.uid, job.spec.gid, job.spec.user) == (1002, 1002, "bob")
    assert scene.envs.load(job.spec.env_ref) == {"USER": "root", "A": "1"}


def test_the_node_s_defaults_apply_where_nothing_is_asked_for():
    scene = Scene(rules=Rules(daemon_uid=0, default_limit_s=3600.0, grace_s=12.0))
    plain, own = submit(scene.desk, ADA, [scene.wish(), scene.wish(limit_s=60.0, grace_s=0.0)], ENV)
    assert (plain.spec.limit_s, plain.spec.grace_s) == (3600.0, 12.0)
    assert (own.spec.limit_s, own.spec.grace_s) == (60.0, 0.0)


def test_an_accepted_job_waits_in_store_and_book_and_wakes_the_scheduler(scene):
    job = scene.submit(held=True)
    assert (job.id, job.state, job.held, job.submitted_at) == (1, JobState.WAITING, True, scene.clock.now())
    assert scene.store.job(1) == scene.desk.book.get(1) == job
    assert scene.wakes == 1
    [row] = scene.store.audit()
    assert (row.action, row.user, row.job_id) == ("submit", "ada", 1)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("/usr/bin/python3", "/home/ada/train.py", "--lr", "1"), "train.py"),
        (("python", "-u", "train.py"), "train.py"),
        (("python", "-m", "pkg.train.main", "x.py"), "main"),
        (("torchrun", "--standalone", "ddp.py"), "ddp.py"),
        (("bash", "run.sh"), "run.sh"),
        (("python", "-c", "import this"), "python"),
        (("sh", "-c", "exit 3"), "sh"),
        (("bash", "-lc", "export KEY=hush; ./run"), "bash"),
        (("sh", "-ec", "curl -H KEY:hush"), "sh"),
        (("sh", "-c", "$1", "hush"), "sh"),
        (("bash", "-s", "hush"), "bash"),
        (("bash", "-eo", "pipefail", "run.sh"), "run.sh"),
        (("bash", "+o", "history", "--", "jobs/run.sh", "KEY=hush"), "run.sh"),
        (("bash", "KEY=hush"), "bash"),
        (("bash", "two words"), "bash"),
        (("bash", "a\x1bb"), "bash"),
        (("python", "-Ic", "KEY='hush'"), "python"),
        (("python", "-cprint('hush')"), "python"),
        (("python", "-", "hush"), "python"),
        (("python3.11", "-W", "ignore", "-X", "dev", "x.py"), "x.py"),
        (("python", "-Wignore", "-B", "x.py"), "x.py"),
        (("python", "-IW", "ignore", "x.py"), "x.py"),
        (("python", "-um", "pkg.train"), "train"),
        (("python", "-mpkg.train"), "train"),
        (("python", "-m"), "python"),
        (("torchrun", "--nproc-per-node", "8", "--no-python", "ddp.sh"), "ddp.sh"),
        (("torchrun", "--nproc_per_node=8", "-m", "pkg.ddp"), "ddp"),
        (("shuf", "-n", "5", "words"), "shuf"),
        (("./train", "x.py"), "train"),
        (("/opt/bin/nvcc",), "nvcc"),
        (("python",), "python"),
        (("a\nb",), "a?b"),
        (("x" * 100,), "x" * 80),
        (("/",), "job"),
    ],
)
def test_a_job_without_a_name_is_called_after_its_script(scene, argv, name):
    assert scene.submit(argv=argv).spec.name == name


def test_one_user_cannot_fill_the_queue_and_others_still_get_in():
    scene = Scene(rules=Rules(daemon_uid=0, jobs_per_user=2))
    first, second = scene.submit(), scene.submit()
    with pytest.raises(Refused) as refusal:
        scene.submit()
    assert refusal.value.message == "ada has 2 unfinished jobs; with 1 more that is over the limit of 2"
    assert refusal.value.hint == "wait for some to end, or ask an operator to raise [jobs] per_user"
    assert scene.submit(actor=BOB).spec.user == "bob"
    assert [scene.submit(actor=ROOT).spec.user for _ in range(3)] == ["root"] * 3
    scene.cancel(first)
    assert scene.submit().id > second.id, "an ended job makes room"


def test_a_short_request_cannot_become_a_mountain_of_command_lines():
    scene = Scene()
    words = {"argv": ("train.py", "x" * 100_000), "array": "0-1499"}
    with pytest.raises(BadInput, match="the command lines of these jobs have 150") as caught:
        submit(scene.desk, ADA, [scene.wish(**words)], ENV)
    assert "environment, which they share" in (caught.value.hint or "")
    assert scene.store.jobs(JobQuery()) == []


def test_of_several_jobs_the_wrong_one_is_named_and_a_single_one_is_not_counted(scene):
    with pytest.raises(NotFound, match=r"^job 3 of 4: there is no queue 'nihgt'$"):
        submit(scene.desk, ADA, [*[scene.wish()] * 2, scene.wish(queue="nihgt"), scene.wish()], ENV)
    with pytest.raises(BadInput, match=r"^job 2 of 2: priority 101 is not between"):
        submit(scene.desk, ADA, [scene.wish(), scene.wish(priority=101)], ENV)
    with pytest.raises(NotFound, match=r"^there is no queue 'nihgt'$"):
        submit(scene.desk, ADA, [scene.wish(queue="nihgt")], ENV)
    assert scene.jobs() == []
