"""Jobs that do what no job should: none holds a GPU, a disk or a process for ever, none reaches another's file."""

import signal
from pathlib import Path

import pytest
from system.daemon_process import until

MIB = 2**20
DIRECTORY = 'd="${DCD_REPORT_PATH%/*}"'
DEAF = "trap '' TERM INT HUP"
#: Forks sessions of its own as fast as a shell can, each deaf to everything but KILL.
SPAWNER = f'{DEAF}; while :; do setsid sh -c "{DEAF}; sleep 600" & sleep 0.02; done'


@pytest.mark.parametrize("how", ["cancel", "time limit"])
def test_a_job_that_forks_daemonises_and_ignores_sigterm_is_gone_after_its_grace(site, how):
    limits = {"limit_s": 0.5} if how == "time limit" else {}
    job_id = site.submit(SPAWNER, grace_s=0.5, **limits)
    site.await_state(job_id, "running")
    if how == "cancel":
        until(lambda: len(site.living()) > 4, "its processes")
        site.client.post("/v1/jobs/cancel", {"select": [str(job_id)], "grace_s": 0.5})
    ended = site.await_state(job_id)
    assert (ended["state"], ended["signal"]) == ("cancelled" if how == "cancel" else "timed_out", signal.SIGKILL)
    until(lambda: not site.living(), "the end of all it started")
    site.judge_resources()


def test_a_job_that_fills_its_log_keeps_head_and_tail_and_little_of_the_disk(new_site):
    site = new_site(DCD_JOBS__LOG_LIMIT="4M")
    site.start()
    flood = (
        "i=0; while [ $i -lt 40 ]; do yes some line of it | head -c 1048576; i=$((i+1)); sleep 0.05; done; echo last"
    )
    job_id = site.submit(f"echo first; {flood}", code=3)
    ended = site.await_state(job_id)
    assert (ended["state"], ended["exit_code"]) == ("failed", 3)
    log = site.attempt(job_id).log_path
    assert log.stat().st_size > 40 * MIB
    assert log.stat().st_blocks * 512 <= 4 * MIB
    text = log.read_bytes()
    assert text.startswith(b"here\nfirst\nsome line")
    assert text.endswith(b"\nlast\n")
    site.judge_resources()


def test_a_job_that_swaps_its_flooded_log_for_a_link_changes_nothing_behind_the_link(new_site):
    site = new_site(DCD_JOBS__LOG_LIMIT="1M")
    site.start()
    precious = site.path / "precious"
    precious.write_bytes(b"precious" * MIB)
    before = precious.stat()
    swap = f'{DIRECTORY}; rm "$d/output.log"; ln -s {precious} "$d/output.log"'
    job_id = site.submit(f"{swap}; yes | head -c 8388608; sleep 1.5; yes | head -c 8388608", code=3)
    assert site.await_state(job_id)["exit_code"] == 3
    after = Path(precious).stat()
    assert (after.st_mtime_ns, after.st_blocks, after.st_size) == (before.st_mtime_ns, before.st_blocks, before.st_size)
    site.judge_resources()
