"""All collectors in one sweep: cadence, roles, and what one that fails or hangs costs the others."""

import logging
import threading
import time
from dataclasses import fields

import pytest

from dcdaemon.core.event import EventKind
from dcdaemon.core.metric import metrics_of
from dcdaemon.core.roles import HOST_COLLECTORS, USUAL_ROLES, Role
from dcdaemon.core.samples import (
    DriveSample,
    FilesystemSample,
    HostSample,
    IbSample,
    Lack,
    NfsSample,
    ObjectStoreSample,
    RaplSample,
    SensorSample,
    SwitchSample,
)
from dcdaemon.fakes.clock import FakeClock
from dcdaemon.telemetry.host import LinuxHost

SWEEP_S = 5.0
BASE = {"cpu", "memory", "pressure", "tcp", "edac", "rapl", "sensors", "disks", "filesystems", "interfaces"}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def start(roots, told, clock):
    """Makes hosts that wait for every thread that answers at all, and ends their threads."""
    hosts = []

    def make(**changes):
        host = LinuxHost(*roots, told.append, clock=clock, **changes)
        host.patience_s = 10.0
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.close()


def report(reading, name):
    return next(one for one in reading.collectors if one.name == name)


class Fails:
    """Raises what it is given, until that is None."""

    def __init__(self, error):
        self.error = error

    def read(self, _at):
        if self.error is not None:
            raise self.error
        return {}


class Hangs:
    """Comes back when it is let."""

    def __init__(self):
        self.let, self.asked, self.reads = threading.Event(), threading.Event(), 0

    def read(self, at):
        self.reads += 1
        self.asked.set()
        assert self.let.wait(30)
        return (SensorSample(at, "chip", "temp1", temp_c=40.0),)


class Counts:
    """Counts how often it was read, and whether it was closed."""

    def __init__(self):
        self.reads, self.closed = 0, False

    def read(self, _at):
        self.reads += 1
        return ()

    def lack(self):
        return Lack("nothing to count", "count something")

    def close(self):
        self.closed = True


def test_a_sweep_reads_everything_a_node_has(start, told):
    reading = start().read()
    host = reading.host
    assert (host.load_1m, host.mem_total_bytes, host.psi_cpu_some_ratio) == (1.25, 1000 * 1024, 0.125)
    assert (host.edac_corrected, host.stalled_io_full_s) == (7, 6.5)
    assert {type(sample) for sample in reading.others} == {SensorSample, RaplSample}
    assert [one.name for one in reading.collectors if one.error] == []
    assert report(reading, "sensors").lack is None
    assert "InfiniBand" in report(reading, "infiniband").lack.why
    assert told == []


def test_an_empty_tree_gives_unknowns_and_neither_errors_nor_events(tmp_path, told, clock):
    host = LinuxHost(tmp_path / "none", tmp_path / "none", told.append, clock=clock)
    host.patience_s = 10.0
    reading = host.read()
    host.close()
    assert (reading.disks, reading.filesystems, reading.nets, reading.others) == ((), (), (), ())
    unknown = {field.name for field in fields(HostSample)} - {"at"}
    assert {name: getattr(reading.host, name) for name in unknown} == dict.fromkeys(unknown)
    assert [(one.name, one.error) for one in reading.collectors if one.error] == []
    assert told == []


def test_a_collector_that_fails_costs_only_its_own_values_and_is_told_once(start, told, clock, caplog):
    faulty = Fails(ZeroDivisionError("by nothing"))
    host = start(extra={"memory": faulty})
    for _ in range(3):
        reading = host.read()
        clock.advance(SWEEP_S)
    assert (reading.host.mem_total_bytes, reading.host.load_1m) == (None, 1.25)
    assert report(reading, "memory").error == "ZeroDivisionError: by nothing"
    assert [(event.kind, event.subject) for event in told] == [(EventKind.COLLECTOR_FAILED, "memory")]
    assert "by nothing" in told[0].message
    # A fault of the program: the log says where, once.
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]

    faulty.error = None
    assert report(host.read(), "memory").error is None
    faulty.error = OSError(5, "Input/output error")
    clock.advance(SWEEP_S)
    host.read()
    assert [event.kind for event in told] == [EventKind.COLLECTOR_FAILED] * 2
    assert not caplog.records[-1].exc_info  # the device is at fault, not the program
    assert caplog.records[-1].levelno == logging.ERROR


def test_one_that_hangs_is_waited_for_once_and_asked_again_only_when_it_came_back(start, told, clock):
    stuck, pace_s = Hangs(), 20.0  # it is due once a minute, and hangs when it missed that
    host = start(extra={"sensors": stuck})
    host.patience_s = 0.01
    begin_s = time.monotonic()
    for _ in range(5):
        reading = host.read()
        assert (reading.others != (), reading.host.load_1m) == (True, 1.25)
        assert not [sample for sample in reading.others if isinstance(sample, SensorSample)]
        clock.advance(pace_s)
    assert time.monotonic() - begin_s < 10
    assert stuck.asked.wait(10)
    assert stuck.reads == 1
    assert report(reading, "sensors").error == "does not come back since 80 s"
    assert [event.kind for event in told] == [EventKind.COLLECTOR_FAILED]

    stuck.let.set()
    late = []
    while not late:
        reading = host.read()
        late = [sample for sample in reading.others if isinstance(sample, SensorSample)]
    assert late[0].at == clock.now() - 5 * pace_s  # as old as it is
    assert report(reading, "sensors").last_read_s == clock.monotonic() - 5 * pace_s
    assert report(reading, "sensors").error is None


def test_each_collector_is_read_at_its_own_pace(start, clock):
    fast, slow, own = Counts(), Counts(), Counts()
    host = start(extra={"disks": fast, "filesystems": slow, "drives": own})
    for _ in range(13):
        host.read()
        clock.advance(SWEEP_S - 0.01)  # a little early
    assert (fast.reads, slow.reads, own.reads) == (13, 7, 13)


def test_a_sweep_that_comes_early_after_a_late_one_has_all_values_of_the_node(start, clock):
    host = start()
    host.read()
    clock.advance(0.1)
    assert host.read().host.mem_total_bytes == 1000 * 1024


def test_a_collector_that_fails_to_explain_itself_is_a_failure_like_any_other(start):
    counts = Counts()
    counts.lack = lambda: 1 / 0
    disks = report(start(extra={"disks": counts}).read(), "disks")
    assert (disks.error, disks.lack) == ("ZeroDivisionError: division by zero", None)


def test_a_report_tells_age_duration_and_what_is_lacking(start, clock):
    host = start(extra={"disks": Counts()})
    read_s = clock.monotonic()
    disks = report(host.read(), "disks")
    assert (disks.running, disks.every_s, disks.last_read_s, disks.error) == (True, 5.0, read_s, None)
    assert disks.last_duration_s >= 0
    assert disks.lack == Lack("nothing to count", "count something")


def test_one_that_keeps_its_own_pace_was_read_when_it_gave_something(start, clock):
    own = Counts()
    host = start(extra={"drives": own})
    drives = report(host.read(), "drives")
    assert (drives.last_read_s, drives.last_duration_s) == (None, None)
    clock.advance(SWEEP_S)
    read_s, own.read = clock.monotonic(), lambda at: (DriveSample(at, "nvme0"),)
    took_s = report(host.read(), "drives").last_duration_s
    own.read = lambda _at: ()
    clock.advance(SWEEP_S)
    drives = report(host.read(), "drives")
    assert (drives.last_read_s, drives.last_duration_s) == (read_s, took_s)


def test_one_that_is_slower_by_design_does_not_hang(start, clock):
    stuck = Hangs()
    stuck.every_s = 60.0
    host = start(extra={"snmp": stuck})
    host.patience_s = 0.01
    errors = []
    for _ in range(14):
        errors.append(report(host.read(), "snmp").error)
        clock.advance(SWEEP_S)
    stuck.let.set()
    assert errors == [None] * 12 + ["does not come back since 60 s", "does not come back since 65 s"]


def test_interfaces_that_hang_hold_up_nothing_else(start):
    stuck = Hangs()
    host = start(extra={"interfaces": stuck})
    host.patience_s = 0.01
    reading = host.read()
    stuck.let.set()
    assert (reading.host.mem_total_bytes, report(reading, "interfaces").error) == (1000 * 1024, None)


def test_a_collector_that_was_configured_to_another_pace_is_reported_with_it(start):
    counts = Counts()
    counts.every_s = 300.0
    reading = start(extra={"snmp": counts}).read()
    assert (report(reading, "snmp").every_s, report(reading, "drives").every_s) == (300.0, 600.0)


@pytest.mark.parametrize(
    ("roles", "more"),
    [
        (("compute",), set()),
        (("storage",), {"nfs", "drives", "object_store"}),
        (("network",), {"infiniband", "snmp"}),
        (("management",), {"snmp", "object_store", "bmc"}),
        (USUAL_ROLES, {"nfs", "drives", "object_store", "infiniband", "snmp"}),
    ],
)
def test_the_roles_of_a_node_choose_its_collectors(start, roles, more):
    configured = {name: Counts() for name in ("snmp", "object_store", "bmc")}
    reading = start(roles=roles, extra=configured).read()
    assert {one.name for one in reading.collectors if one.running} == BASE | more
    assert {name for name, counts in configured.items() if counts.reads} == more & configured.keys()
    assert {one.name for one in reading.collectors} == {plan.name for plan in HOST_COLLECTORS}
    idle = [one for one in reading.collectors if not one.running]
    assert all("needs the role" in one.lack.why and not one.lack.wrong for one in idle)


def test_what_is_not_configured_is_said_to_be_so(start):
    snmp = report(start().read(), "snmp")
    assert (snmp.running, snmp.lack) == (False, Lack("none is configured"))


def test_closing_ends_the_threads_and_the_collectors(start):
    counts = Counts()
    host = start(extra={"snmp": counts}, roles=tuple(Role))
    host.read()
    mine = [thread for thread in threading.enumerate() if thread.name.startswith("collector-")]
    assert {thread.name for thread in mine} == {
        f"collector-{name}" for name in ("sensors", "interfaces", "infiniband", "snmp")
    }
    host.close()
    for thread in mine:
        thread.join(10)
    assert (counts.closed, [thread for thread in mine if thread.is_alive()]) == (True, [])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sensors", SensorSample),
        ("rapl", RaplSample),
        ("filesystems", FilesystemSample),
        ("nfs", NfsSample),
        ("drives", DriveSample),
        ("infiniband", IbSample),
        ("snmp", SwitchSample),
        ("object_store", ObjectStoreSample),
    ],
)
def test_a_collector_keeps_the_pace_that_its_metrics_promise(name, kind):
    plan = next(plan for plan in HOST_COLLECTORS if plan.name == name)
    assert plan.every_s == min(metric.every_s for metric in metrics_of(kind))


def test_this_machine_answers_and_says_what_can_be(told):
    host = LinuxHost(tell=told.append)
    host.read()
    reading = host.read()
    host.close()
    assert 0 < reading.host.mem_available_bytes <= reading.host.mem_total_bytes
    assert reading.host.load_1m >= 0
    assert [one.error for one in reading.collectors if one.error] == []
