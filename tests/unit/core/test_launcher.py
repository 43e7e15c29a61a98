"""What torchrun is given of a job's command, and which commands it cannot start."""

import pytest

from dcdaemon.core.errors import BadInput
from dcdaemon.core.launcher import check_launcher, split_command


@pytest.mark.parametrize(
    ("argv", "python", "program"),
    [
        ("python train.py --lr 3", ["python"], ["train.py", "--lr", "3"]),
        ("/opt/venv/bin/python3.12 -u train.py", ["/opt/venv/bin/python3.12", "-u"], ["train.py"]),
        ("python -X dev -W error -O train.py -u", ["python", "-X", "dev", "-W", "error", "-O"], ["train.py", "-u"]),
        ("python -u -m package.train --lr 3", ["python", "-u"], ["-m", "package.train", "--lr", "3"]),
        ("train.py --lr 3", ["python3"], ["train.py", "--lr", "3"]),
        ("./train.sh -c x", ["python3"], ["--no-python", "./train.sh", "-c", "x"]),
    ],
)
def test_interpreter_and_program_are_told_apart(argv, python, program):
    assert split_command(argv.split()) == (python, program)


@pytest.mark.parametrize("argv", ["python", "python -u", "python -c print(1)", "python -", "python -m", "python -X"])
def test_a_command_without_a_program_cannot_be_started_once_a_rank(argv):
    with pytest.raises(BadInput, match="needs a program"):
        split_command(argv.split())


@pytest.mark.parametrize(
    "argv", ["torchrun train.py", "/opt/bin/torchrun train.py", "python -m torch.distributed.run x"]
)
def test_torchrun_itself_is_not_started_in_every_rank(argv):
    with pytest.raises(BadInput, match="starts torchrun itself"):
        check_launcher("torchrun", None, 2, argv.split())


@pytest.mark.parametrize(
    ("launcher", "ranks", "gpus", "match"),
    [
        (None, 2, 0, "needs a launcher"),
        ("mpirun", None, 2, "no launcher 'mpirun'"),
        ("torchrun", None, 0, "how many ranks"),
        ("torchrun", 0, 2, "0 ranks"),
        ("torchrun", 5000, 2, "5000 ranks"),
    ],
)
def test_what_cannot_be_launched_is_refused(launcher, ranks, gpus, match):
    with pytest.raises(BadInput, match=match):
        check_launcher(launcher, ranks, gpus, ["train.py"])


def test_what_can_be_launched_is_not_refused():
    check_launcher(None, None, 0, ["torchrun", "train.py"])
    check_launcher("torchrun", None, 2, ["train.py"])
    check_launcher("torchrun", 4, 0, ["python", "train.py"])
