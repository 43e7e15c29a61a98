"""Which fence jobs get, on machines made of files."""

from dataclasses import replace
from pathlib import Path

import pytest

from dcdaemon.core.errors import BadConfig
from dcdaemon.runner.isolation import Asked, Host, Isolation, choose_isolation, isolation_here

FREE = "Name:\tx\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n"
BOUND = FREE.replace("NoNewPrivs:\t0", "NoNewPrivs:\t1")
SERVICE = {"INVOCATION_ID": "1"}


@pytest.fixture
def machine(tmp_path: Path) -> Host:
    """A machine that systemd runs, with a tool directory of its own; seen by root."""
    root = tmp_path / "root"
    for directory in ("run/systemd/system", "sys/fs/cgroup", "proc/1/ns", "proc/self/ns", "var/lib/systemd/linger"):
        (root / directory).mkdir(parents=True)
    (root / "sys/fs/cgroup/cgroup.controllers").write_text("cpu memory\n")
    (root / "proc/1/comm").write_text("systemd\n")
    for process in ("1", "self"):
        (root / "proc" / process / "status").write_text(FREE)
        (root / "proc" / process / "ns/mnt").symlink_to("mnt:[1]")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "systemd-run").write_text("#!/bin/sh\n")
    (tools / "systemd-run").chmod(0o755)
    return Host(root, 0, {"PATH": str(tools)}, lambda _: Asked(252, ""))


def service(machine: Host, status: str = FREE, *, uid: int = 0) -> Host:
    """The same machine as a daemon sees it that systemd started, with these rights."""
    (machine.root / "proc/self/status").write_text(status)
    return replace(machine, uid=uid, env={**machine.env, **SERVICE})


def test_root_on_a_machine_of_systemd_gets_units_of_the_system(machine):
    here = isolation_here(machine)
    assert here == Isolation("unit", "system")
    assert here.devices_fenced
    assert choose_isolation("auto", here) == choose_isolation("unit", here) == here


def test_a_user_whose_manager_lasts_gets_units_of_that_manager_without_a_fence_of_devices(machine):
    (machine.root / "var/lib/systemd/linger/54321").touch()
    own = "/user.slice/user-54321.slice/user@54321.service"
    here = isolation_here(replace(machine, uid=54321, ask=lambda manager: Asked(252, own if manager == "user" else "")))
    assert here == Isolation("unit", "user", own)
    assert not here.devices_fenced


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("run/systemd/system", "systemd does not run this machine"),
        ("sys/fs/cgroup/cgroup.controllers", "the kernel's control groups are not version 2 alone"),
    ],
)
def test_what_the_machine_lacks_is_named_and_leaves_the_shim(machine, missing, reason):
    place = machine.root / missing
    place.rmdir() if place.is_dir() else place.unlink()
    here = isolation_here(machine)
    assert here == Isolation("shim", reasons=(reason,))
    assert choose_isolation("auto", here) == here
    with pytest.raises(BadConfig, match=f"isolation = unit cannot be used here: {reason}"):
        choose_isolation("unit", here)


def test_a_container_that_was_given_the_hosts_run_starts_nothing_on_the_host(machine):
    (machine.root / "proc/1/comm").write_text("python3\n")
    assert isolation_here(machine).name == "shim"


def test_all_that_is_missing_is_told_at_once_and_nobody_is_asked_in_vain(machine):
    def ask(_manager):
        raise AssertionError

    (machine.root / "run/systemd/system").rmdir()
    here = isolation_here(replace(machine, uid=54321, env={"PATH": "/nowhere"}, ask=ask))
    assert len(here.reasons) == 3
    assert "loginctl enable-linger" in here.reasons[-1]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("the system manager does not answer: no bus", "no bus"), (Asked(239, ""), "systemd 239 is older than 243")],
)
def test_a_manager_that_does_not_answer_or_is_too_old_leaves_the_shim(machine, answer, reason):
    here = isolation_here(replace(machine, ask=lambda _: answer))
    assert here.name == "shim"
    assert reason in here.reasons[0]


def test_a_sandboxed_daemon_gets_units_or_may_start_nothing(machine):
    sandboxed = service(machine, BOUND)
    here = isolation_here(sandboxed)
    assert here == Isolation("unit", "system", sandboxed=True)
    with pytest.raises(BadConfig, match="this daemon's unit is sandboxed"):
        choose_isolation("shim", here)
    nowhere = isolation_here(replace(sandboxed, ask=lambda _: "no answer"))
    assert nowhere == Isolation("none", reasons=("no answer",), sandboxed=True)
    assert choose_isolation("auto", nowhere) == nowhere


@pytest.mark.parametrize(
    "status",
    [FREE.replace("1ff", "003"), FREE.replace("Seccomp:\t0", "Seccomp:\t2"), BOUND],
    ids=["caps", "calls", "new"],
)
def test_any_right_that_process_1_has_and_the_daemon_has_not_is_a_sandbox(machine, status):
    assert isolation_here(service(machine, status)).sandboxed
    assert not isolation_here(machine).sandboxed, "by hand it is not systemd that took it"


def test_other_files_than_those_of_process_1_are_a_sandbox(machine):
    seen = service(machine)
    assert not isolation_here(seen).sandboxed
    (machine.root / "proc/self/ns/mnt").unlink()
    (machine.root / "proc/self/ns/mnt").symlink_to("mnt:[2]")
    assert isolation_here(seen).sandboxed


def test_what_a_container_took_from_everybody_is_no_sandbox(machine):
    (machine.root / "proc/1/status").write_text(BOUND)
    assert not isolation_here(service(machine, BOUND)).sandboxed


def test_a_hidden_process_1_is_a_sandbox_for_root_and_usual_for_others(machine):
    (machine.root / "proc/1/status").unlink()
    assert isolation_here(service(machine)).sandboxed
    assert not isolation_here(service(machine, uid=54321)).sandboxed
    assert isolation_here(service(machine, BOUND, uid=54321)).sandboxed


def test_this_machine_can_be_asked_and_gives_a_fence_or_reasons():
    here = isolation_here()
    assert (here.name == "unit") == (here.reasons == ())
