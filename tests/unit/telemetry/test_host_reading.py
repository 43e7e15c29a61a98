"""CPU, memory, pressure and ECC errors of a node, from its kernel's files."""

import os
from pathlib import Path

import pytest
from fixtures.host_tree import grown, plant

from dcdaemon.core.event import EventKind
from dcdaemon.telemetry.cpu import Cpu, parse_cpu_times
from dcdaemon.telemetry.edac import Edac
from dcdaemon.telemetry.kernel_file import Faults, KernelFile, NumberFile
from dcdaemon.telemetry.memory import Memory
from dcdaemon.telemetry.pressure import Pressure, Stalls, parse_pressure

KIB = 1024
STAT = "cpu  {user} 0 300 {idle} 100 0 0 0 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"


def test_cpu_utilisation_needs_two_readings(roots, told):
    proc, _ = roots
    cpu = Cpu(proc, told.append)
    assert cpu.read(1.0) == {"cpu_util_ratio": None, "load_1m": 1.25}
    grown(proc, "stat", STAT.format(user=675, idle=9025))
    assert cpu.read(6.0)["cpu_util_ratio"] == 0.75
    assert cpu.read(6.0)["cpu_util_ratio"] is None  # no tick has passed
    assert told == []


def test_idle_time_that_steps_back_never_makes_more_than_all(roots, told):
    proc, _ = roots
    cpu = Cpu(proc, told.append)
    cpu.read(1.0)
    grown(proc, "stat", STAT.format(user=700, idle=8990))
    assert cpu.read(6.0)["cpu_util_ratio"] == 1


def test_memory_is_in_bytes_and_swap_is_what_is_not_free(roots, told):
    assert Memory(roots[0], told.append).read(1.0) == {
        "mem_total_bytes": 1000 * KIB,
        "mem_available_bytes": 400 * KIB,
        "swap_used_bytes": 30 * KIB,
    }


def test_one_line_of_nonsense_costs_one_value_and_is_told_once_until_it_is_well_again(roots, told):
    proc, _ = roots
    memory = Memory(proc, told.append)
    nonsense = "MemTotal: 1000 kB\nMemAvailable: N/A kB\nSwapTotal: 50 kB\nSwapFree: 60 kB\n"
    grown(proc, "meminfo", nonsense)
    for at in (1.0, 6.0):
        assert memory.read(at) == {
            "mem_total_bytes": 1000 * KIB,
            "mem_available_bytes": None,
            "swap_used_bytes": None,  # more free than there is
        }
    assert [(event.at, event.kind, event.subject) for event in told] == [(1.0, EventKind.UNREADABLE, "MemAvailable")]
    grown(proc, "meminfo", nonsense.replace("N/A", "5"))
    memory.read(11.0)
    grown(proc, "meminfo", nonsense)
    memory.read(16.0)
    assert [event.at for event in told] == [1.0, 16.0]


def test_pressure_is_told_as_shares_and_as_seconds(roots, told):
    pressure = Pressure(roots[0], told.append)
    assert pressure.read(1.0) == {
        "psi_cpu_some_ratio": 0.125,
        "psi_mem_some_ratio": 0.0,
        "psi_io_some_ratio": 0.04,
        "stalled_cpu_some_s": 2.5,
        "stalled_mem_some_s": pytest.approx(99e-6),
        "stalled_mem_full_s": pytest.approx(7e-6),
        "stalled_io_some_s": 8.0,
        "stalled_io_full_s": 6.5,
    }
    assert pressure.lack() is None


def test_a_kernel_without_psi_is_quiet_and_explained(tmp_path, told):
    pressure = Pressure(tmp_path, told.append)
    assert set(pressure.read(1.0).values()) == {None}
    lack = pressure.lack()
    assert (lack.fix, lack.wrong, told) == ("boot Linux 4.20 or later with psi=1", False, [])


def test_ecc_errors_are_summed_over_the_memory_controllers(roots, told):
    edac = Edac(roots[1], told.append)
    assert edac.read(1.0) == {"edac_corrected": 7, "edac_uncorrected": 1}
    assert (edac.lack(), told) == (None, [])


def test_a_sum_with_an_unknown_part_is_unknown(roots, told):
    _, sys = roots
    edac = Edac(sys, told.append)
    grown(sys, "devices/system/edac/mc/mc2/ce_count", "N/A\n")
    assert edac.read(1.0) == {"edac_corrected": None, "edac_uncorrected": 1}
    assert [(event.kind, event.subject) for event in told] == [(EventKind.UNREADABLE, "edac mc2 ce_count")]
    assert "'N/A'" in told[0].message


def test_a_memory_controller_that_comes_later_is_counted(tmp_path, told):
    sys = tmp_path / "sys"
    edac = Edac(sys, told.append)
    assert edac.read(1.0) == {"edac_corrected": None, "edac_uncorrected": None}
    assert "virtual machine" in edac.lack().why
    plant("xeon.tree", tmp_path)
    assert edac.read(6.0)["edac_corrected"] == 7
    assert edac.lack() is None


@pytest.mark.parametrize("text", ["", "cpu 1 2 3\n", "intr 5\n", "cpu N/A 0 0 0 0 0 0 0\n"])
def test_a_stat_of_another_shape_is_unknown(text):
    assert parse_cpu_times(text) is None


@pytest.mark.parametrize(
    "text", ["full avg10=1.00 total=3\n", "some avg10=N/A total=3\n", "some avg10=1.00 total=-3\n", ""]
)
def test_a_pressure_file_of_another_shape_is_unknown(text):
    assert parse_pressure(text) is None


def test_the_pressure_of_an_older_kernel_has_no_full_line():
    assert parse_pressure("some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n") == Stalls(0.01, 5e-6, None)


def test_a_kept_file_is_opened_once_and_tells_what_it_holds_now(tmp_path):
    path = tmp_path / "value"
    path.write_text("1\n")
    file = KernelFile(path)
    assert file.read() == b"1\n"
    descriptor = file._fd
    path.write_text("2\n")
    assert (file.read(), file._fd) == (b"2\n", descriptor)
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert file.text() == "2\n"


def test_a_kept_file_that_failed_is_opened_anew(tmp_path):
    path = tmp_path / "value"
    path.write_text("1\n")
    file = KernelFile(path)
    file.read()
    folder = os.open(tmp_path, os.O_RDONLY)
    os.dup2(folder, file._fd)  # what cannot be read from, like a device that was pulled out
    os.close(folder)
    with pytest.raises(IsADirectoryError):
        file.read()
    assert file.read() == b"1\n"


def test_a_file_whose_reading_fails_is_told_once_with_the_reason(told):
    file = NumberFile(Path("/proc/self/mem"), "the memory", Faults(told.append))  # EIO: nothing is at address 0
    assert (file.read(1.0), file.read(6.0)) == (None, None)
    assert [(event.at, event.kind, event.subject) for event in told] == [(1.0, EventKind.UNREADABLE, "the memory")]
    assert told[0].message == "/proc/self/mem cannot be read: Input/output error"


def test_a_long_file_is_read_to_its_end(tmp_path):
    path = tmp_path / "value"
    path.write_bytes(b"x" * 10_000)
    assert len(KernelFile(path).read_all(piece=4096)) == 10_000
