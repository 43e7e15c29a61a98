"""`dcd gpus`: its wide columns, and letting go of the driver."""

import json

import documents
import pytest
from stub_daemon import error


@pytest.fixture
def busy(daemon):
    """The first GPU of the stub daemon, which tells everything."""
    gpu = daemon.routes["GET /v1/gpus"]["gpus"][0]
    gpu |= {
        "sm_active_ratio": 0.88, "tensor_active_ratio": 0.41, "clock_events": ["idle", "sw_power_cap", "hw_thermal"],
        "pcie_link_gen": 4, "pcie_link_width": 8, "pcie_link_gen_max": 5, "pcie_link_width_max": 16,
        "nvlink_links_up": 17, "nvlink_links": 18, "last_xid": 31,
    }  # fmt: skip
    return gpu


def test_wide_shows_activity_throttling_links_and_the_newest_xid(daemon, dcd, busy):
    lines = dcd("gpus", "-o", "wide", "--columns", "sm,tensor,held down,links,xid").out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["SM", "TENSOR", "HELD", "DOWN", "LINKS", "XID"],
        ["88%", "41%", "sw_power_cap,hw_thermal", "gen4", "x8", "of", "gen5", "x16", "nv17/18", "31"],
        ["-", "-", "-", "-", "-"],
    ]


@pytest.mark.parametrize(
    ("changes", "links"),
    [
        ({"pcie_link_gen": 5, "pcie_link_width": 16}, "gen5 x16 nv17/18"),
        ({"pcie_link_gen_max": None, "nvlink_links": None}, "gen4 x8"),
        ({"pcie_link_gen": None}, "nv17/18"),
        ({"pcie_link_gen": None, "nvlink_links": 0}, "-"),
    ],
)
def test_links_tell_what_is_known(daemon, dcd, busy, changes, links):
    busy |= changes
    assert dcd("gpus", "--columns", "links").out.splitlines()[1].strip() == links


def test_a_gpu_that_only_idles_is_not_held_down(daemon, dcd, busy):
    busy["clock_events"] = ["idle"]
    assert dcd("gpus", "--columns", "held down").out.splitlines()[1].strip() == "no"


def test_the_driver_is_released_for_ten_minutes_or_as_long_as_one_says(daemon, dcd):
    released = documents.gpus() | {"driver_error": "the driver is released until 14:05:00", "driver_version": None}
    daemon.routes["POST /v1/gpus/release"] = released
    said = dcd("gpus", "release")
    assert daemon.asked[-1].body == {"for_s": 600.0, "force": False}
    assert "the driver is released until 14:05:00" in said.err
    dcd("gpus", "release", "--for", "2h", "--force")
    assert daemon.asked[-1].body == {"for_s": 7200.0, "force": True}
    assert json.loads(dcd("gpus", "release", "--end", "--json").out) == released
    assert daemon.asked[-1].body == {"for_s": 0.0, "force": False}
    assert {asked.method for asked in daemon.asked} == {"POST"}


def test_a_refusal_is_two_lines(daemon, dcd):
    daemon.routes["POST /v1/gpus/release"] = error(409, "refused", "job 7 holds GPUs", "dcd drain")
    said = dcd("gpus", "release")
    assert (said.code, said.err) == (5, "error: job 7 holds GPUs\nhint: dcd drain\n")


def test_a_time_needs_a_unit_and_a_wrong_part_is_told(dcd):
    assert "has no unit" in dcd("gpus", "release", "--for", "30").err
    said = dcd("gpus", "relase")
    assert (said.code, said.err.splitlines()[1]) == (2, "hint: dcd gpus -h explains it")


def test_the_list_stays_what_it_was(daemon, dcd):
    assert dcd("gpus", "-q").out.split() == ["0", "1", "2", "5", "6"]
    assert dcd("gpus").code == 0


def test_a_foreign_container_is_named_as_its_runtime_names_it(daemon, dcd):
    container = {"runtime": "docker", "id": "3f2a1b9c0d12" + "0" * 52, "image": "pytorch:24.05"}
    process = {"pid": 77, "user": "root", "command": "python", "age_s": 60.0, "mem_used_bytes": 2**30, "job_id": None}
    gpus = daemon.routes["GET /v1/gpus"]["gpus"]
    gpus[0]["processes"] = [{**process, "container": container}]
    said = dcd("gpus", "--columns", "used by").out.splitlines()[1]
    assert "pid 77 (python, root) 1m 1 GiB in docker 3f2a1b9c0d12 (pytorch:24.05)" in " ".join(said.split())
    container["image"] = None
    assert "1 GiB in docker 3f2a1b9c0d12" in " ".join(dcd("gpus", "--columns", "used by").out.split())


def test_a_gpu_that_is_cut_tells_first_what_may_be_had_of_it(dcd, daemon):
    document = documents.gpus()
    gpu = document["gpus"][0]
    migs = [
        {"instance": f"{place}/0", "profile": size, "state": state}
        for place, (size, state) in enumerate([("1g.10gb", "free"), ("3g.40gb", "free"), ("1g.10gb", "free")])
    ]
    job = {"id": 7, "name": "train", "user": "ada", "gpu_mem_bytes": 1, "gpu_instance": "9/0"}
    gpu |= {"cut": True, "migs": migs, "job": job, "jobs": [job], "state": "busy", "processes": []}
    daemon.routes["GET /v1/gpus"] = document
    assert "free MIG: 2x 1g.10gb + 1x 3g.40gb, job 7 train (ada, MIG 9/0)\n" in dcd("gpus").out
    for one in migs:
        one["state"] = "busy"
    assert "job 7 train (ada, MIG 9/0), MIG: nothing free\n" in dcd("gpus").out
    stranger = {"pid": 77, "user": "eve", "command": "x", "age_s": 60.0, "mem_used_bytes": 2**30, "job_id": None}
    gpu["processes"] = [stranger | {"instance": "9/0"}]
    assert "pid 77 (x, eve) 1m 1 GiB in MIG 9/0\n" in dcd("gpus").out
    gpu |= {"processes": [], "migs": [], "job": None, "jobs": [], "state": "free"}
    assert "MIG: no instances\n" in dcd("gpus").out
