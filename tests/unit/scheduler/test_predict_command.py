"""The runs of a sweep have one fingerprint, and different work has different ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.scheduler.predict_command import fingerprint

ALIKE = [
    ["python train.py --lr 3e-4 --seed 7", "python3.11 train.py --lr .1 --seed 12"],
    ["python train.py --lr -1 --seed x", "/opt/py/bin/python train.py --lr 2. --seed y"],
    ["python train.py --output-dir runs/2026-05-01/a", "python /home/ada/train.py --output-dir /scratch/b"],
    ["python -m lab.train lr=0.1 steps=1e5 +seed=3", "python -m lab.train lr=2 steps=10_000 +seed=4"],
    ["torchrun --nproc_per_node=8 t.py --betas 0.9,0.99", "torchrun --nproc_per_node=4 t.py --betas 0.8,0.9,1"],
    ["./run.sh 2026-05-01T10:00:00 fold-3", "/x/run.sh 2025-11-30 fold-12", "run.sh 20260501_103000 fold-0"],
    ["eval model-3fa9c1b2.pt", "eval model-0099aabbcc.pt", "eval model-7.pt"],
    ["eval 123e4567-e89b-12d3-a456-426614174000", "eval 999"],
    ["python x.py -b32 --mem 10G -t 1:30:00", "python x.py -b8 --mem 512MiB -t 90m"],
    ["python x.py --name foo --job-name a", "python x.py --name bar --job-name b"],
    ["env LR=3 ./go", "env LR=4 ./go"],
]  # fmt: skip
DIFFERENT = [
    "python train.py --model resnet50", "python train.py --model resnet101", "python eval.py --model resnet50",
    "python train.py --model resnet50 --amp", "python train.py --data /d/imagenet", "python train.py --data /d/cifar",
    "python train.py model=vit", "bash train.py --model resnet50", "",
]  # fmt: skip


@pytest.mark.parametrize("commands", ALIKE, ids=range(len(ALIKE)))
def test_a_sweep_has_one_fingerprint(commands):
    assert len({fingerprint(command.split()) for command in commands}) == 1


def test_different_work_has_different_fingerprints():
    assert len({fingerprint(command.split()) for command in DIFFERENT}) == len(DIFFERENT)


def test_a_fingerprint_can_be_read():
    command = "/usr/bin/python3 /home/ada/train.py --lr 3e-4 --model resnet50 --seed=4 data/imagenet/"
    assert fingerprint(command.split()) == "python train.py --lr # --model resnet50 --seed=# imagenet"


def test_inline_code_is_taken_word_by_word():
    short, long = (["bash", "-c", f"cd /tmp/run && python train.py --steps {steps}"] for steps in (10, 2000))
    assert fingerprint(short) == fingerprint(long) == "bash -c cd run && python train.py --steps #"


def test_no_command_line_is_too_long():
    endless = ["python", *(f"--option-{chr(97 + number % 26)}{'x' * 1000}" for number in range(5000))]
    assert len(fingerprint(endless)) == 400


@given(st.lists(st.text(max_size=80), max_size=30))
def test_any_command_line_has_a_fingerprint_of_bounded_length(argv):
    made = fingerprint(argv)
    assert len(made) <= 400
    assert made == fingerprint(tuple(argv))


@given(st.lists(st.sampled_from(["--lr", "--size", "-n"]), min_size=1, max_size=5), st.data())
def test_numbers_never_tell_two_runs_apart(options, data):
    def command():
        return [word for option in options for word in (option, data.draw(NUMBERS))]

    assert fingerprint(["go", *command()]) == fingerprint(["go", *command()])


NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.lists(st.integers(0, 99).map(str), min_size=2, max_size=4).map(",".join),
)
