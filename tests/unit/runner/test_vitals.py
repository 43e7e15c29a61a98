"""Which of a job's processes are its ranks, and what they do."""

import os
import signal
import sys

from dcdaemon.runner.ranks import TORCHRUN, torchrun_command
from dcdaemon.runner.vitals import rank_vitals

RANKS = """
for rank in 1 0; do RANK=$rank sh -c 'sleep 60 & echo $RANK; while :; do sleep 0.05; done' & done; wait
"""


def vitals(node, spec):
    return rank_vitals(node.launcher.pids(spec.job_id, 1))


def test_ranks_are_found_in_order_and_what_they_start_is_theirs(node, wait_until):
    spec = node.start("sh", "-c", RANKS)
    wait_until(lambda: len(node.log(spec).split()) == 2)
    found = vitals(node, spec)

    assert [one.rank for one in found] == [0, 1]
    assert len(node.launcher.pids(spec.job_id, 1)) >= 5
    node.stop(spec)
    node.end_of(spec)


def test_a_stopped_rank_is_seen_as_stopped(node, wait_until):
    spec = node.start("sh", "-c", RANKS)
    wait_until(lambda: len(node.log(spec).split()) == 2)
    os.kill(vitals(node, spec)[1].pid, signal.SIGSTOP)

    wait_until(lambda: vitals(node, spec)[1].state == "T")
    assert vitals(node, spec)[0].state in "SR"
    node.stop(spec, name="KILL")
    node.end_of(spec)


def test_cpu_time_is_counted(node, wait_until):
    spec = node.start(sys.executable, "-I", "-S", "-c", "while True: pass")
    wait_until(lambda: sum(one.cpu_s for one in vitals(node, spec)) > 0.1)

    [one] = vitals(node, spec)
    assert one.rank is None
    node.stop(spec)
    node.end_of(spec)


def test_pids_that_are_gone_are_left_out():
    assert rank_vitals([2**22 + 1]) == ()


def test_torchrun_is_given_the_ranks_and_the_rendezvous_that_we_own():
    command = torchrun_command(["python", "-u", "train.py", "--lr", "3"], 2, 23_456, "dcd-7.1")
    assert command[:3] == ("python", "-u", str(TORCHRUN))
    assert command[-3:] == ("train.py", "--lr", "3")
    assert {"--nproc-per-node=2", "--master-addr=127.0.0.1", "--master-port=23456", "--max-restarts=0"} < set(command)
    assert TORCHRUN.exists()
