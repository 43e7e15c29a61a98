"""dcd-bmc, run as its unit runs it: with ipmitool itself before a simulated BMC; and the daemon's side of its file."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from lack import program

from dcdaemon.core.event import EventKind
from dcdaemon.core.samples import BmcSample
from dcdaemon.telemetry.bmc import Bmc
from dcdaemon.telemetry.bmc_unit import parse_inlet, parse_power

POWER = """
    Instantaneous power reading:                   214 Watts
    Minimum during sampling period:                  2 Watts
    Maximum during sampling period:                468 Watts
    Average power reading over sample period:      184 Watts
    IPMI timestamp:                           05/05/24 13:06:44 UTC    Sampling period:   00001000 Milliseconds
    Power reading state is:                   activated

"""
LAN = """\
name "sim"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  user 2 true "admin" "test" admin 10 none md2 md5 straight
"""


def sensor_record(number: int, entity: int, name: str) -> list[int]:
    """A full sensor record (IPMI 2.0, table 43-1): degrees C in two's complement, no thresholds."""
    body = [0x20, 0, number, entity, 1, 0x67, 0x40, 1, 1, *[0] * 6, 0x80, 1, 0, 0, 1, *[0] * 9, 0x7F, 0x80]
    body += [*[0] * 11, 0xC0 | len(name), *name.encode()]
    return [0, 0, 0x51, 1, len(body), *body]


def commands(sensors) -> str:
    lines = ["mc_setbmc 0x20", "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02", "sel_enable 0x20 1000 0x0a"]
    for number, (entity, name, degrees) in enumerate(sensors, 1):
        record = " ".join(f"{byte:#04x}" for byte in sensor_record(number, entity, name))
        lines += [
            f"sensor_add 0x20 0 {number} 0x01 0x01",
            f"sensor_set_value 0x20 0 {number} {degrees & 0xFF:#x} 0",
            f"sensor_set_event_support 0x20 0 {number} enable scanning per-state {' '.join(['0' * 15] * 4)}",
            f"main_sdr_add 0x20 {record}",
        ]
    return "\n".join([*lines, "mc_enable 0x20", ""])


@pytest.fixture
def bmc(tmp_path):
    """Starts a simulated BMC with these sensors; returns an ipmitool that asks it."""
    running = []

    def start(sensors, power=None):
        simulator, ipmitool = program("ipmi_sim", "openipmi"), program("ipmitool")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        (tmp_path / "lan.conf").write_text(LAN.format(port=port))
        (tmp_path / "commands").write_text(commands(sensors))
        (tmp_path / "state").mkdir()
        wrapper = tmp_path / "ipmitool"
        # The simulator knows no DCMI: a recorded answer stands for it.
        answer = f'[ "$1" = dcmi ] && exec printf "%s" "{power}"\n' if power else ""
        wrapper.write_text(
            f'#!/bin/sh\n{answer}exec {ipmitool} -I lanplus -C 3 -H 127.0.0.1 -p {port} -U admin -P test "$@"\n'
        )
        wrapper.chmod(0o755)
        running.append(
            subprocess.Popen(
                [simulator, "-c", "lan.conf", "-f", "commands", "-s", "state", "-n"],
                cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        deadline_s = time.monotonic() + 20
        while subprocess.run([wrapper, "mc", "info"], capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline_s, "the simulator does not answer"
        return wrapper

    yield start
    for one in running:
        one.send_signal(signal.SIGKILL)
        one.wait(10)


def ask(tmp_path, *arguments):
    out = tmp_path / "bmc.json"
    command = [sys.executable, "-I", "-m", "dcdaemon.telemetry.bmc_unit", "--out", str(out), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return out


def test_power_and_the_air_that_comes_in_are_read_from_a_bmc(bmc, tmp_path):
    tool = bmc([(7, "System Temp", 35), (55, "Air", 22), (3, "CPU Temp", -4)], POWER)
    told = []
    reader = Bmc(told.append, path=ask(tmp_path, "--ipmitool", tool))
    now = time.time()
    [sample] = reader.read(now)
    assert (sample.node_power_w, sample.inlet_temp_c, reader.lack(), told) == (214.0, 22.0, None, [])
    assert abs(sample.at - now) < 60
    assert reader.read(now + 5.0) == ()  # nothing new


def test_a_bmc_that_measures_no_power_tells_its_temperature_all_the_same(bmc, tmp_path):
    tool = bmc([(7, "Baseboard Temp", 35), (12, "Front Panel Temp", -2)])
    told = []
    reader = Bmc(told.append, path=ask(tmp_path, "--ipmitool", tool))
    [sample] = reader.read(time.time())
    assert (sample.node_power_w, sample.inlet_temp_c) == (None, -2.0)
    lack = reader.lack()
    assert ("DCMI request failed because: Invalid command (c1)" in lack.why, lack.wrong) == (True, False)


def test_a_node_without_a_bmc_says_so(tmp_path):
    program("ipmitool")
    reader = Bmc(lambda _event: None, path=ask(tmp_path))
    if [path for path in ("/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0") if os.path.exists(path)]:  # noqa: PTH110
        pytest.skip("this machine has a BMC")
    [sample] = reader.read(time.time())
    assert (sample.node_power_w, sample.inlet_temp_c) == (None, None)
    assert "Could not open device at /dev/ipmi0" in reader.lack().why


def test_a_missing_ipmitool_and_one_that_hangs_are_named(tmp_path):
    gone = json.loads(ask(tmp_path, "--ipmitool", "/nowhere/ipmitool").read_text())
    assert (
        gone["power_problem"] == gone["inlet_problem"] == "/nowhere/ipmitool cannot be run: No such file or directory"
    )
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    hung = json.loads(ask(tmp_path, "--ipmitool", slow, "--timeout", 0.2).read_text())
    assert hung["power_problem"] == "ipmitool got no answer within 0.2 s"


@pytest.mark.parametrize(
    ("text", "power_w"),
    [
        (POWER, 214.0),
        ("Instantaneous power reading              : 214      Watts\n", 214.0),
        (POWER.replace(": 0", ": x").replace("activated", "deactivated"), None),
        (POWER.replace("214", "0"), None),
        ("DCMI request failed\n", None),
        ("", None),
    ],
)
def test_power_is_read_while_the_bmc_measures_it(text, power_w):
    assert parse_power(text) == power_w


@pytest.mark.parametrize(
    ("text", "inlet_c"),
    [
        ("Inlet Temp | 04h | ok | 7.1 | 22 degrees C\n", 22.0),
        ("Ambient | 0Eh | ok | 7.1 | 21.5 degrees C\nInlet | 0Fh | ok | 64.1 | 20 degrees C\n", 20.0),
        ("Inlet Temp | 04h | ns | 7.1 | No Reading\nFnt Pnl Temp | 35h | ok | 12.1 | 27 degrees C\n", 27.0),
        ("PSU1 Inlet | 3Ah | ok | 10.1 | 41 degrees C\nInlet | 04h | ok | 7.1 | 22 degrees C\n", 22.0),
        ("PSU1 Inlet | 3Ah | ok | 10.1 | 41 degrees C\n", None),
        ("CPU Temp | 04h | ok | 3.1 | 60 degrees C\n", None),
        ("Inlet Temp | 04h | ok | 22 degrees C\n", None),
        ("", None),
    ],
)
def test_the_air_that_comes_in_is_found_by_its_place_or_its_name(text, inlet_c):
    assert parse_inlet(text) == inlet_c


def write(path, **said):
    known = {"schema": 1, "at": 1000.0, "power_w": 500.0, "inlet_c": 24.0}
    path.write_text(json.dumps(known | said))


def test_a_reading_that_is_not_renewed_is_a_fault_of_the_unit(tmp_path):
    path = tmp_path / "bmc.json"
    reader = Bmc(lambda _event: None, path=path)
    assert reader.read(999.0) == ()
    assert (reader.lack().wrong, "dcdaemon-bmc.timer" in reader.lack().fix) == (False, True)
    write(path)
    assert reader.read(1001.0) == (BmcSample(1000.0, 500.0, 24.0),)
    assert (reader.read(1180.0), reader.lack()) == ((), None)
    assert reader.read(1181.0) == ()
    assert (reader.lack().wrong, reader.lack().fix) == (True, "systemctl status dcdaemon-bmc.timer")
    write(path, at=1190.0)
    assert reader.read(1191.0) == (BmcSample(1190.0, 500.0, 24.0),)
    assert reader.lack() is None


def test_a_reading_that_is_old_when_it_is_found_is_withdrawn_at_once(tmp_path):
    path = tmp_path / "bmc.json"
    write(path)
    reader = Bmc(lambda _event: None, path=path)
    assert reader.read(1181.0) == ()
    assert (reader.lack().wrong, reader.lack().fix) == (True, "systemctl status dcdaemon-bmc.timer")


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1.0, 10**400, "now", None])
def test_a_time_that_is_none_stops_nothing(tmp_path, at):
    path = tmp_path / "bmc.json"
    write(path, at=at)
    assert Bmc(lambda _event: None, path=path).read(1001.0) == (BmcSample(1001.0, 500.0, 24.0),)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 2}', "nonsense", "[" * 10_000])
def test_a_file_of_another_shape_is_told_once_and_warned_of(tmp_path, text):
    path, told = tmp_path / "bmc.json", []
    reader = Bmc(told.append, path=path)
    for at in (1.0, 6.0):
        path.write_text(text + " " * int(at))
        os.utime(path, ns=(0, int(at * 1e9)))
        assert reader.read(at) == ()
    assert (reader.lack().wrong, [event.kind for event in told]) == (True, [EventKind.UNREADABLE])


def test_values_that_cannot_be_are_dropped_and_told(tmp_path):
    path, told = tmp_path / "bmc.json", []
    reader = Bmc(told.append, path=path)
    write(path, power_w=10**9, inlet_c="warm")
    assert reader.read(1001.0) == (BmcSample(1000.0, None, None),)
    assert [(event.kind, event.subject) for event in told] == [
        (EventKind.IMPLAUSIBLE_VALUE, "bmc power"),
        (EventKind.IMPLAUSIBLE_VALUE, "bmc inlet temperature"),
    ]
