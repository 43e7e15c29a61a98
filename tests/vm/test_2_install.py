"""The service as `dcd service install` leaves it, under a systemd that runs."""

import re

from vm.steps import NOTES

#: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, KILL: bits of capability.h. Nothing that makes root all-powerful.
_MAY = 0b101111


def test_the_service_is_ready_and_tells_systemd_what_it_does(node):
    assert node.property("ActiveState") == "active"
    assert node.property("Type") == "notify"
    node.until_status("0 running, 0 waiting, 4 GPUs")
    assert node.property("UnitFileState") == "enabled"
    assert node.property("ControlGroup") == "/dcdaemon.slice/dcdaemon.service"
    assert int(node.property("WatchdogUSec").removesuffix("min")) == 1


def test_little_of_it_can_be_abused(node):
    said = node.machine.check("systemd-analyze", "security", "--no-pager", "dcdaemon.service")
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert exposure is not None, said
    NOTES.append(f"systemd-analyze security dcdaemon.service: {exposure[1]} of 10.0")
    assert float(exposure[1]) <= 3.2, said


def test_it_is_in_the_sandbox_that_its_unit_describes(node):
    """What root may do and the daemon, which is root, may not: written in the unit, enforced by the kernel."""
    inside = ("nsenter", f"--target={node.main_pid()}", "--mount", "--")
    for path in ("/usr/local/x", "/etc/x", "/home/ada/x"):
        refused = node.machine.run(*inside, "touch", path)
        assert "Read-only file system" in refused.out, (path, refused)
    status = node.machine.check("cat", f"/proc/{node.main_pid()}/status")
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    capabilities = re.search(r"CapBnd:\t(\w+)", status)
    assert capabilities is not None
    assert int(capabilities[1], 16) & ~_MAY == 0, capabilities[1]


def test_doctor_says_that_each_job_gets_a_unit_of_its_own(node):
    said = node.dcd("doctor").out
    assert re.search(r"(?i)ok.*\bunit\b", said), said
    assert "FAIL" not in said, said


def test_installing_it_once_more_changes_nothing_and_restarts_nothing(node):
    pid = node.main_pid()
    said = node.machine.check("/opt/dcdaemon/bin/dcd", "service", "install")
    assert not re.search(r"(?m)^(write|start|restart|remove) ", said), said
    assert node.main_pid() == pid


def test_its_man_page_and_completion_are_where_they_are_looked_for(node):
    node.machine.check("test", "-s", "/usr/local/share/man/man1/dcd.1")
    completion = "/usr/local/share/bash-completion/completions/dcd"
    node.machine.check("bash", "-c", f". {completion} && complete -p dcd")
