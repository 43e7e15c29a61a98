"""What the lines of batch scripts ask for: the scripts of tests/fixtures/sbatch, and one line at a time."""

from pathlib import Path

import pytest

from dcdaemon.cli.sbatch.dependency import Dependency
from dcdaemon.cli.sbatch.lines import read_directives
from dcdaemon.cli.sbatch.options import OPTIONS, SHORT
from dcdaemon.cli.sbatch.request import Request, read_request
from dcdaemon.cli.sbatch.resources import count_together, overruled
from dcdaemon.cli.sbatch.values import Checkpoint, Gpus, checkpoint_of
from dcdaemon.core.errors import BadInput

SCRIPTS = Path(__file__).parents[2] / "fixtures" / "sbatch"
GIB = 2**30
MIB = 2**20
HOUR = 3600.0


def request(*lines: str) -> Request:
    return read_request("\n".join(["#!/bin/sh", *(f"#SBATCH {line}" for line in lines), "true"]), "job.sh")


def refusal(*lines: str) -> BadInput:
    with pytest.raises(BadInput) as caught:
        request(*lines)
    assert caught.value.hint
    return caught.value


def sample(name: str) -> Request:
    return read_request((SCRIPTS / name).read_text(), name)


def resources(asked: Request) -> tuple[object, ...]:
    found = count_together(asked)
    return found.gpus, found.ntasks, found.cpus, found.mem_bytes


# ------------------------------------------------------------ whole scripts


def test_a_script_for_one_gpu_is_understood():
    asked = sample("one-gpu.sh")
    assert (asked.job_name, asked.partition, asked.output) == ("cifar-resnet", "gpu", "logs/%x-%j.out")
    assert asked.time_limit_s == 36 * HOUR
    assert resources(asked) == (1, None, 8, 32 * GIB)
    assert asked.notes == (
        "--mail-type is ignored: no mail is sent; see dcd wait and dcd events",
        "--mail-user is ignored: no mail is sent; see dcd wait and dcd events",
        "--error=logs/%x-%j.err is ignored: errors go where the output goes",
    )


def test_the_tasks_of_one_node_make_gpus_cpus_and_memory():
    asked = sample("one-node-ddp.sh")
    assert resources(asked) == (4, 4, 48, 240 * GIB)
    assert asked.checkpoint == Checkpoint("USR1", 120.0, to_script=True)
    assert [note.split()[0] for note in asked.notes] == ["--exclusive"]


def test_an_array_keeps_its_indices_and_the_kind_of_gpu():
    asked = sample("sweep.sh")
    assert (asked.array, asked.gpus, asked.account) == ("0-15:5%2", Gpus(1, ("h100",)), "vision")
    assert asked.time_limit_s == 1.5 * HOUR


def test_short_forms_share_a_line_and_a_comment_may_follow():
    asked = sample("short-forms.sh")
    assert (asked.partition, asked.account, asked.job_name) == ("debug", "vision", "two words")
    assert resources(asked) == (None, 2, 8, 16_000 * MIB)
    assert asked.time_limit_s == 0.5 * HOUR
    assert (asked.begin, asked.hold, asked.nice) == ("now+1hour", True, 100)
    assert asked.dependency == Dependency(after=("12", "13"), after_any=("14_3",))


def test_what_looks_like_a_directive_and_is_none_is_named():
    assert sample("short-forms.sh").notes == (
        "line 10 is a comment, to sbatch too: it stands after the first command",
        "line 11 is a comment, to sbatch too: it stands after the first command",
    )
    text = "#!/bin/sh\n #SBATCH --time=1\n##SBATCH --time=2\n# SBATCH --time=3\n#SBATCH -t4\n"
    asked = read_request(text, "job.sh")
    assert asked.notes == (
        "line 2 is a comment, to sbatch too: it does not begin its line",
        "line 4 is a comment, to sbatch too: write it #SBATCH",
    )
    assert asked.time_limit_s == 240


def test_a_near_miss_is_named_and_a_directive_without_a_blank_is_one():
    asked = read_request("#!/bin/sh\n#sbatch --gpus=2\n#SBATCH: --gpus=2\n#SBATCH--time=4\n", "job.sh")
    assert asked.notes == (
        "line 2 is a comment, to sbatch too: write it #SBATCH",
        "line 3 is not read: write a blank behind #SBATCH",
    )
    assert asked.time_limit_s == 240


def test_scripts_of_workflow_engines_are_understood():
    asked = sample("workflow-engine.sh")
    assert (asked.job_name, asked.output, asked.chdir) == ("nf-ALIGN_(sample_1)", "/dev/null", "work")
    assert asked.requeue is False
    assert resources(asked) == (None, None, 4, 8 * GIB)
    asked = sample("checkpointing.sh")
    assert resources(asked) == (2, 2, 20, 64 * GIB)
    assert asked.time_limit_s == 4 * HOUR
    # Its signal is for the steps alone: the script would die of it.
    assert asked.checkpoint is None
    assert sorted(note.split()[0].partition("=")[0] for note in asked.notes) == ["--error", "--signal", "--wckey"]


def test_any_interpreter_will_do():
    asked = sample("python-script.py")
    assert (asked.job_name, asked.export, asked.requeue) == ("table", "NONE,SEED=7", True)


def test_more_nodes_than_one_are_refused():
    with pytest.raises(BadInput, match=r"two-nodes\.sh, line 2: the job needs 2 nodes, and jobs run on one"):
        sample("two-nodes.sh")


def test_a_constraint_is_refused_because_the_job_may_need_it():
    with pytest.raises(BadInput, match=r"constrained\.sh, line 3: --constraint cannot be met here"):
        sample("constrained.sh")


# ------------------------------------------------------------ the lines


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('--job-name="two words"', ["--job-name=two words"]),
        ("-J 'it is # no comment' -n2", ["-J", "it is # no comment", "-n2"]),
        (r"-J two\ words", ["-J", "two words"]),
        (r'-J "a \"quote\""', ["-J", 'a "quote"']),
        ("-t 30 # -t 60", ["-t", "30"]),
        ("-t 30#60", ["-t", "30"]),
        ("\t-t\t30  ", ["-t", "30"]),
        ("", []),
    ],
)
def test_lines_are_split_as_sbatch_does(line, words):
    found = read_directives(f"#!/bin/sh\n#SBATCH {line}\n", "job.sh")
    assert [word.text for word in found.words] == words


def test_a_directive_needs_no_blank_behind_it():
    assert read_request("#!/bin/sh\n#SBATCH--time=5", "job.sh").time_limit_s == 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo hello\n", "job.sh is no batch script"),
        ("", "job.sh is no batch script"),
        ("#!/bin/sh\r\n#SBATCH -t5\r\n", "job.sh has DOS line ends"),
        ("#!/bin/sh\n\0", "job.sh holds a NUL byte"),
        ("#!/bin/sh\n#SBATCH -J 'open\n", "job.sh, line 2: no closing quotation"),
        ("#!/bin/sh\n#SBATCH -n1\n#SBATCH hetjob\n#SBATCH -n2\n", "job.sh, line 3: a job of several different parts"),
        ("#!/bin/sh\n#SBATCH -n1 : -n2\n", "job.sh, line 2: a job of several different parts"),
    ],
)
def test_a_script_that_sbatch_would_not_take_is_refused(text, message):
    with pytest.raises(BadInput) as caught:
        read_request(text, "job.sh")
    assert message in caught.value.message
    assert caught.value.hint


# ------------------------------------------------------------ options


def test_the_last_of_several_counts():
    assert request("-t 1", "--time=2").time_limit_s == 120
    assert request("--requeue --no-requeue").requeue is False
    assert request("--requeue --no-requeue --requeue").requeue is True


def test_long_names_may_be_cut_short_where_they_stay_unique():
    assert request("--part=long --job=x --acco=y").partition == "long"
    assert "--gpus-per-node or --gpus-per-task" in refusal("--gpus-per=2").message


def test_names_of_before_are_understood():
    assert request("--workdir=/data --tasks-per-node=2").chdir == "/data"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("--tiem=5", "line 2: sbatch has no option --tiem", "did you mean 'time'?"),
        ("-Z", "line 2: sbatch has no option -Z", "docs/slurm.md"),
        ("--time", "line 2: --time has no value", "--time VALUE"),
        ("-t", "line 2: -t has no value", "-t VALUE"),
        ("-N=1", "line 2: the value of -N would begin with '='", "write -N 1 or --nodes=1"),
        ("--requeue=yes", "line 2: --requeue takes no value", "write --requeue alone"),
        ("time=5", "line 2: 'time=5' is no option", "--time=2:00:00"),
        ("-p gpu,long", "line 2: a job waits in one queue, and 'gpu,long' names several", "keep one"),
        ("-i data.txt", "line 2: a job's standard input is empty, not data.txt", "write < data.txt"),
        ("--nice=low", "line 2: --nice=low is no number", "--nice=100"),
    ],
)
def test_a_mistake_names_its_line_and_what_to_write(line, message, hint):
    error = refusal(line)
    assert message in error.message
    assert hint in (error.hint or "")


def test_each_option_of_sbatch_is_understood_or_named():
    for name, option in OPTIONS.items():
        if option.refused:
            assert (
                f"--{name} cannot be met here"
                in refusal(f"--{name}" + "=1" * (option.takes.value != "nothing")).message
            )
        elif option.ignored:
            notes = request(f"--{name}" + "=1" * (option.takes.value == "value")).notes
            assert notes == (f"--{name} is ignored: {option.ignored}",)
    assert set(SHORT.values()) <= set(OPTIONS)


def test_an_ignored_option_is_named_once():
    assert len(request("--mail-type=END", "--mail-type=FAIL").notes) == 1


def test_errors_that_go_where_the_output_goes_need_no_word():
    assert request("-o run.log -e run.log").notes == ()


# ------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800), ("2:30", 180), ("2:00", 120), ("0:01", 60), ("1:00:00", 3600), ("100:00:00", 360_000),
        ("00:90:00", 5400), ("1-0", 86_400), ("1-12", 129_600), ("1-12:30", 131_400), ("1-12:30:01", 131_460),
        ("0", None), ("0:0", None), ("UNLIMITED", None), ("infinite", None), ("-1", None),
    ],
)  # fmt: skip
def test_times_are_read_as_slurm_reads_them(text, seconds):
    assert request(f"--time={text}").time_limit_s == seconds


@pytest.mark.parametrize("text", ["2h", "", "1:2:3:4", "1-", "-5", "1-2-3", "a:b", "1:", ":30", "1.5"])
def test_what_is_no_time_is_refused(text):
    assert "is no time limit" in refusal(f"--time={text}").message


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4 * GIB), ("512K", 512 * 1024), ("10M", 10 * MIB), ("32G", 32 * GIB), ("32GB", 32 * GIB),
     ("2t", 2048 * GIB), ("0", 0)],
)  # fmt: skip
def test_memory_is_in_mebibytes_unless_said(text, size):
    assert request(f"--mem={text}").mem_bytes == size


@pytest.mark.parametrize("text", ["", "1.5G", "G", "-1", "10P", "32 G"])
def test_what_is_no_memory_is_refused(text):
    assert "is no amount of memory" in refusal(f"--mem='{text}'").message


@pytest.mark.parametrize(
    ("line", "gpus"),
    [
        ("--gpus=2", Gpus(2)), ("-G a100:2", Gpus(2, ("a100",))), ("--gpus=a100:1,h100:2", Gpus(3, ("a100", "h100"))),
        ("--gres=gpu", Gpus(1)), ("--gres=gpu:4", Gpus(4)), ("--gres=gpu:h100", Gpus(1, ("h100",))),
        ("--gres=gpu:h100:2", Gpus(2, ("h100",))), ("--gres=gres/gpu:2", Gpus(2)), ("--gres=none", Gpus(0)),
        ("--gres=gpu:a100:1,gpu:h100:1", Gpus(2, ("a100", "h100"))), ("--gpus-per-node=8", Gpus(8)),
        ("--gpus-per-task=2 -n 3", Gpus(6)), ("--gpus-per-task=2", Gpus(2)),
        ("--gpus=4 --gpus-per-node=4 --gres=gpu:4", Gpus(4)), ("--gpus=0", Gpus(0)),
    ],
)  # fmt: skip
def test_gpus_may_be_asked_for_in_many_ways(line, gpus):
    found = count_together(request(line))
    assert (found.gpus, found.gpu_kinds) == gpus


@pytest.mark.parametrize(
    ("line", "gib"),
    [
        ("--gres=gpu:1g.10gb:1", 8.5), ("--gres=gpu:1g.10gb", 8.5), ("--gpus=3g.40gb:1", 34.0),
        ("--gres=gpu:nvidia_h100_80gb_hbm3_2g.20gb:1", 17.0), ("--gres=gpu:1g.5gb+me:1", 4.25),
        ("--gres=gpu:1g.24gb-me:1", 20.4),
        ("--gres=gpu:h100:1", None),
        ("--gpus=1", None),
    ],
)  # fmt: skip
def test_a_mig_profile_asks_for_most_of_its_memory(line, gib):
    resources = count_together(request(line))
    assert (resources.gpus, resources.gpu_mem_bytes) == (1, None if gib is None else int(gib * 1024**3))
    assert resources.gpu_kinds == (("h100",) if "h100:" in line else ())


@pytest.mark.parametrize("line", ["--gres=gpu:1g.10gb:2", "--gres=gpu:1g.10gb:1,gpu:2g.20gb:1", "--gres=gpu:1g.10gb:0"])
def test_several_mig_instances_are_refused(line):
    with pytest.raises(BadInput, match="a job has one MIG instance"):
        count_together(request(line))


@pytest.mark.parametrize("line", ["--gres=shard:2", "--gres=gpu:a:b:2", "--gres=gpu:2,license:1", "--gres=tmpfs:10G"])
def test_other_resources_than_gpus_are_refused(line):
    assert "asks for something else than GPUs" in refusal(line).message


@pytest.mark.parametrize("line", ["--gpus=many", "--gpus=h100:", "--gres=gpu:h100:x", "-n 0", "-c -1", "--ntasks=1.5"])
def test_what_is_no_number_is_refused(line):
    assert "is no number of" in refusal(line).message


@pytest.mark.parametrize("line", ["-N1", "-N 1-1", "--nodes=1-4"])
def test_one_node_is_understood(line):
    assert request(line) == Request()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-N2", "the job needs 2 nodes"),
        ("-N 2-4", "the job needs 2 nodes"),
        ("-N 4-2", "is no number of nodes"),
        ("-N all", "is no number"),
    ],
)
def test_what_one_node_cannot_be_is_refused(line, message):
    assert message in refusal(line).message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--gpus=4 --gpus-per-node=2", "--gpus gives 4 and --gpus-per-node gives 2 GPUs on one node"),
        ("--mem=1G --mem-per-cpu=1G", "--mem and --mem-per-cpu exclude each other"),
        ("--mem-per-gpu=1G", "--mem-per-gpu is given, and no GPU is asked for"),
        ("-n 8 --ntasks-per-node=4", "needs more than one node"),
    ],
)
def test_contradictions_are_refused(line, message):
    with pytest.raises(BadInput) as caught:
        count_together(request(line))
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("line", "cpus"),
    [
        ("-n 4", 4), ("-c 3", 3), ("-n 4 -c 3", 12), ("--gpus=2 --cpus-per-gpu=6", 12), ("--mincpus=5 -n2", 5),
        ("--gpus=2 --ntasks-per-gpu=2 -c 3", 12), ("--ntasks-per-node=2", 2), ("--gpus=2", None),
    ],
)  # fmt: skip
def test_cpus_are_those_of_all_tasks(line, cpus):
    assert count_together(request(line)).cpus == cpus


def test_what_the_command_line_gives_is_what_the_rest_is_counted_with():
    asked = request("--gres=gpu:a100:2 --mem-per-gpu=10G --cpus-per-gpu=4")
    assert resources(overruled(asked, 4, None, None)) == (4, None, 16, 40 * GIB)
    assert resources(overruled(asked, None, 6, GIB)) == (2, None, 6, GIB)
    assert count_together(overruled(asked, 4, None, None)).gpu_kinds == ()
    tasks = overruled(request("-n 4 -c 8 --mem-per-cpu=1G"), None, 12, None)
    assert (tasks.cpus_per_task, resources(tasks)) == (3, (None, 4, 12, 12 * GIB))
    assert overruled(asked, None, None, None) == asked


# ------------------------------------------------------------ dependencies


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("afterok:1", Dependency(after=("1",))),
        ("afterany:1:2,afternotok:3", Dependency(after_any=("1", "2"), after_not_ok=("3",))),
        ("afterok:1,afterok:2", Dependency(after=("1", "2"))),
        ("afterok:120_3", Dependency(after=("120_3",))),
        ("7", Dependency(after_any=("7",))),
        ("singleton", Dependency(singleton=True)),
    ],
)
def test_dependencies_are_understood(text, expected):
    assert request(f"-d {text}").dependency == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("after:1", "'after' is not understood"),
        ("aftercorr:1", "'aftercorr' is not understood"),
        ("afterok:1?afterok:2", "cannot wait for any one of several"),
        ("afterok", "'' is no job"),
        ("afterok:x", "'x' is no job"),
        ("whenever:1", "'whenever' is not understood"),
    ],
)
def test_dependencies_that_are_not_known_are_refused(text, message):
    assert message in refusal(f"-d {text}").message


# ------------------------------------------------------------ signals


@pytest.mark.parametrize(
    ("text", "checkpoint"),
    [
        ("B:USR1@60", Checkpoint("USR1", 60.0, to_script=True)),
        ("B:SIGUSR2@5", Checkpoint("USR2", 5.0, to_script=True)),
        ("RB:10", Checkpoint("USR1", 60.0, to_script=True)),
        ("R:TERM@120", Checkpoint("TERM", 120.0, to_script=False)),
        ("hup", Checkpoint("HUP", 60.0, to_script=False)),
    ],
)
def test_a_signal_is_read_as_sbatch_reads_it(text, checkpoint):
    assert checkpoint_of(text) == checkpoint


@pytest.mark.parametrize("text", ["B:", "USR9", "B:USR1@", "99", "X:USR1", "USR1@-5"])
def test_what_is_no_signal_is_refused(text):
    with pytest.raises(BadInput, match="signal"):
        checkpoint_of(text)
