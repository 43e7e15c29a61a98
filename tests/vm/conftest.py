"""One machine for all scenarios, with the service installed; they run in the order of their files, as a node lives."""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from vm import apt, image
from vm.debian import KERNEL
from vm.machine import Machine
from vm.node import Node
from vm.steps import NOTES, TAKEN_S, step

_PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "debootstrap": "debootstrap", "mke2fs": "e2fsprogs"}
#: Where the console and the journal of a failed run stay.
_KEPT = image.CACHE / "last-failure"
_machine: list[Machine] = []
_nodes: list[Node] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.vm)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A running machine with the product in /opt/dcdaemon; nothing of it is installed as a service."""
    _can_be_made()
    image.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=image.CACHE, prefix="run-") as folder:
        machine = Machine(image.make(Path(folder)), Path(folder))
        _machine.append(machine)
        try:
            machine.boot()
            yield machine
        finally:
            machine.close()


@pytest.fixture(scope="session")
def node(machine: Machine) -> Node:
    """The machine with a driver that knows four GPUs, and the service installed."""
    node = Node(machine)
    with step("fake driver"):
        node.load_driver(gpus=4)
    with step("dcd service install"):
        node.install()
    _nodes.append(node)
    return node


@pytest.fixture(scope="module", autouse=True)
def fresh() -> Iterator[None]:
    """Whatever a scenario has left, also where it failed, is not in the way of the next file."""
    yield
    if _nodes:
        _nodes[0].end_all()


def _can_be_made() -> None:
    lacking = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    reason = None
    if lacking:
        reason = f"the virtual machine needs {', '.join(lacking)}: apt-get install {' '.join(lacking)}"
    elif os.geteuid() != 0:
        reason = "only root can make the disk of the virtual machine (debootstrap): sudo make test-vm"
    elif apt.mirror() is None:
        reason = "the virtual machine is made from apt's sources of this release of Debian, and there are none"
    elif apt.newest(KERNEL) is None:
        reason = f"apt does not know {KERNEL}, the virtual machine's kernel: apt-get update"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed and _machine:
        _keep(_machine[0], report)
    return report


def _keep(machine: Machine, report: pytest.TestReport) -> None:
    """Keep what explains a failure: the end of the journal with the report, all of it and the console as files."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    if machine.console().exists():
        shutil.copy(machine.console(), _KEPT)
    try:
        journal = machine.run("journalctl", "--no-pager", "--output=short-precise").out
    except (AssertionError, OSError) as error:
        journal = f"the machine does not answer: {error!r}"
    (_KEPT / "journal.log").write_text(journal)
    report.sections.append(("journal", "\n".join(journal.splitlines()[-60:]) + f"\nall of it: {_KEPT}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TAKEN_S:
        terminalreporter.section("virtual machine")
        for name, taken_s in TAKEN_S:
            terminalreporter.line(f"{taken_s:7.1f} s  {name}")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        terminalreporter.line(f"{used.ru_utime + used.ru_stime:7.1f} s  of CPU time in all")
    for note in NOTES:
        terminalreporter.line(note)
