"""What memory a job holds: by its control group, by its processes, and as its shim writes it down at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcdaemon.runner import cgroup, memory
from dcdaemon.runner.cgroup import Cgroup
from dcdaemon.runner.processes import members
from dcdaemon.runner.shim_memory import memory_of, oom_kills, out_of_memory, own_cgroup

EVENTS = "low 0\nhigh 0\nmax 31\noom 2\noom_kill 1\noom_group_kill 0\n"
MIB = 1024**2
GROUP = "/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The directory of a job's control group."""
    place = tmp_path / GROUP.lstrip("/")
    place.mkdir(parents=True)
    (place / "memory.events").write_text(EVENTS)
    (place / "memory.peak").write_text(f"{1536 * MIB}\n")
    (place / "memory.stat").write_text(f"anon {8 * MIB}\nfile {900 * MIB}\nshmem {2 * MIB}\nkernel 5\n")
    return place


@pytest.mark.parametrize(
    ("text", "kills"),
    [(EVENTS, 1), ("oom_kill 12\n", 12), ("oom 3\noom_group_kill 4\n", None), ("oom_kill x\n", None), ("", None)],
)
def test_the_kills_are_the_kernels_own_count(text, kills):
    assert oom_kills(text) == kills


def test_a_shim_in_its_jobs_unit_knows_it_and_in_any_other_it_has_none(tmp_path, unit):
    own = tmp_path / "cgroup"
    own.write_text(f"1:name=systemd:/x\n0::{GROUP}\n")
    group = own_cgroup(42, str(own), str(tmp_path))
    assert group == {"path": GROUP, "inode": unit.stat().st_ino}
    assert own_cgroup(43, str(own), str(tmp_path)) is None
    assert own_cgroup(42, str(tmp_path / "none"), str(tmp_path)) is None
    own.write_text("4:memory:/x\n")
    assert own_cgroup(42, str(own), str(tmp_path)) is None


def test_the_end_of_a_starved_job_names_limit_and_peak(tmp_path, unit):
    group = {"path": GROUP, "inode": unit.stat().st_ino}
    found = memory_of(group, 2 * 1024**3, str(tmp_path))
    assert found == {"oom_kills": 1, "limit_bytes": 2 * 1024**3, "peak_bytes": 1536 * MIB}
    assert out_of_memory(found, None, 9) == (
        "out of memory: the kernel killed 1 of its processes at its limit of 2.00 GiB; the most it held was 1.50 GiB"
    )
    small = {"oom_kills": 1, "limit_bytes": 32 * MIB, "peak_bytes": 31 * MIB}
    assert "at its limit of 32 MiB; the most it held was 31 MiB" in str(out_of_memory(small, None, 9))
    assert out_of_memory(found, 137, None) is not None
    assert out_of_memory(found, 0, None) is None, "it did well without that process"


def test_without_a_limit_it_was_the_node_and_an_unknown_peak_is_not_named(tmp_path, unit):
    (unit / "memory.peak").unlink()
    found = memory_of({"path": GROUP, "inode": 1}, 0, str(tmp_path))
    assert found == {"oom_kills": 1, "limit_bytes": None, "peak_bytes": None}
    assert out_of_memory(found, None, 9) == (
        "out of memory: the kernel killed 1 of its processes when the node had none left"
    )


def test_without_a_unit_or_a_kill_nothing_is_said_of_memory(tmp_path, unit):
    assert memory_of(None, 5) is None
    assert out_of_memory(None, 1, None) is None
    (unit / "memory.events").write_text("oom_kill 0\n")
    assert out_of_memory(memory_of({"path": GROUP, "inode": 1}, 5, str(tmp_path)), 1, None) is None


def test_a_control_group_is_known_by_its_inode_so_that_a_later_one_of_the_name_is_another(tmp_path, unit):
    assert Cgroup(GROUP, unit.stat().st_ino).directory(tmp_path) == unit
    assert Cgroup(GROUP, unit.stat().st_ino + 1).directory(tmp_path) is None
    assert Cgroup("/gone", 1).directory(tmp_path) is None
    assert members(Cgroup("/gone", 1)) == ()


def test_who_is_in_a_group_below_belongs_to_the_job(unit):
    (unit / "cgroup.procs").write_text("11\n12\n")
    (unit / "inner").mkdir()
    (unit / "inner/cgroup.procs").write_text("13\n")
    assert sorted(cgroup.pids_in(unit)) == [11, 12, 13]
    assert cgroup.pids_in(unit / "gone") == ()


def test_the_cache_of_files_is_not_held(unit):
    assert cgroup.held_bytes(unit) == 10 * MIB
    (unit / "memory.stat").write_text("anon 5\n")
    assert cgroup.held_bytes(unit) is None
    assert cgroup.held_bytes(unit / "gone") is None


def process(proc: Path, pid: int, *, resident_kb: int, proportional_kb: int | None) -> int:
    place = proc / str(pid)
    place.mkdir()
    place.joinpath("status").write_text(f"Name:\tx\nVmRSS:\t{10 * resident_kb} kB\nRssAnon:\t{resident_kb} kB\n"
                                        f"RssFile:\t{9 * resident_kb} kB\nRssShmem:\t0 kB\n")  # fmt: skip
    if proportional_kb is not None:
        place.joinpath("smaps_rollup").write_text(
            f"Rss: 5 kB\nPss:  900000 kB\nPss_Anon:  {proportional_kb} kB\nPss_File: 7 kB\nPss_Shmem:  1 kB\n"
        )
    return pid


def test_pages_that_processes_share_count_once_and_mapped_files_not_at_all(tmp_path):
    pids = [process(tmp_path, pid, resident_kb=100, proportional_kb=49) for pid in (1, 2)]
    assert memory.held_bytes([*pids, 77], proc=tmp_path) == 2 * 50 * 1024


def test_as_long_as_the_upper_bound_will_do_nothing_is_walked(tmp_path):
    pid = process(tmp_path, 1, resident_kb=100, proportional_kb=49)
    assert memory.held_bytes([pid], worth_bytes=101 * 1024, proc=tmp_path) == 100 * 1024
    assert memory.held_bytes([pid], worth_bytes=100 * 1024, proc=tmp_path) == 50 * 1024


def test_what_may_not_be_looked_into_counts_in_full_and_nobody_is_unknown(tmp_path):
    assert memory.held_bytes([process(tmp_path, 1, resident_kb=100, proportional_kb=None)], proc=tmp_path) == 102400
    assert memory.held_bytes([2], proc=tmp_path) is None


def test_a_real_process_holds_what_it_took_and_not_what_it_maps(tmp_path):
    big = tmp_path / "big"
    big.write_bytes(b"x" * (64 * MIB))
    program = (
        "import mmap, sys; taken = bytearray(32 * 2**20); file = open(sys.argv[1], 'rb'); "
        "seen = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); sum(seen[::4096]); print(flush=True); input()"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(big)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        held = memory.held_bytes([child.pid])
        child.stdin.write(b"\n")
        child.stdin.close()
    assert 32 * MIB <= held < 60 * MIB
    assert memory.held_bytes([os.getpid()]) > MIB
