"""A job that writes a gigabyte a minute to its log, for a minute; the row stands in docs/reliability.md."""

import sys
import time

import pytest

pytestmark = pytest.mark.proof
MIB = 2**20
LIMIT_MIB = 64
WRITER = """
import sys, time
line = b"a line of sixty-four bytes, as a training with a word too many: x\\n"
piece = line * (1024**2 // len(line))
begun = time.monotonic()
for number in range(1, 1025):
    sys.stdout.buffer.write(piece)
    time.sleep(max(0.0, begun + number * 60 / 1024 - time.monotonic()))
print("last", flush=True)
sys.exit(3)
"""


def test_a_gigabyte_a_minute_stays_near_its_limit_on_disk(new_site, capsys):
    site = new_site(DCD_JOBS__LOG_LIMIT=f"{LIMIT_MIB}M")
    site.start()
    [job_id] = site.submit_many([{"argv": [sys.executable, "-c", WRITER], "cwd": "/", "gpus": 1}])
    log, most = site.attempt(job_id).log_path, 0
    begun_s = time.monotonic()
    while site.job(job_id)["state"] in ("waiting", "starting", "running"):
        most = max(most, log.stat().st_blocks * 512 if log.exists() else 0)
        time.sleep(0.1)
    took_s, ended = time.monotonic() - begun_s, site.job(job_id)
    size, left = log.stat().st_size, log.stat().st_blocks * 512
    with log.open("rb") as file:
        head = file.read(6)
        file.seek(-5, 2)
        tail = file.read()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{size / MIB:.0f} MiB written in {took_s:.0f} s, limit {LIMIT_MIB} MiB: "
            f"at most {most / MIB:.0f} MiB on disk, {left / MIB:.0f} MiB at the end\n"
        )
    assert (ended["state"], ended["exit_code"]) == ("failed", 3)
    assert (head, tail) == (b"a line", b"last\n")
    assert left <= LIMIT_MIB * MIB
    # What is written between two looks, a second apart, comes on top; a busy machine looks later.
    assert most <= 2 * LIMIT_MIB * MIB
