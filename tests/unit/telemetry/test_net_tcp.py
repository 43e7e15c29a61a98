"""TCP's own numbers, out of the hundreds that the kernel prints."""

from pathlib import Path

import pytest

from dcdaemon.core.event import Event, EventKind
from dcdaemon.telemetry.tcp import Tcp

SNMP = """\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens InSegs OutSegs RetransSegs InErrs
Tcp: 1 200 120000 -1 18 5000 4000 21 0
Udp: InDatagrams OutSegs
Udp: 9 9
"""
NETSTAT = """\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeouts
TcpExt: 0 5 6 7
IpExt: ListenDrops
IpExt: 99
"""
UNKNOWN = {"tcp_segments_out": None, "tcp_retransmits": None, "tcp_timeouts": None, "tcp_listen_drops": None}


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/snmp").write_text(SNMP)
    (tmp_path / "net/netstat").write_text(NETSTAT)
    return tmp_path


def test_the_four_numbers_are_found_by_name(proc):
    assert Tcp(proc, print).read(1.0) == {
        "tcp_segments_out": 4000, "tcp_retransmits": 21, "tcp_timeouts": 7, "tcp_listen_drops": 6,
    }  # fmt: skip


def test_a_kernel_with_other_columns_is_read_as_well(proc):
    tcp = Tcp(proc, print)
    tcp.read(1.0)
    (proc / "net/netstat").write_text("TcpExt: TCPTimeouts ListenDrops\nTcpExt: 70 60\n")
    values = tcp.read(2.0)
    assert (values["tcp_timeouts"], values["tcp_listen_drops"]) == (70, 60)


def test_a_column_that_is_not_there_is_unknown(proc):
    (proc / "net/netstat").write_text("TcpExt: TCPTimeouts\nTcpExt: 7\n")
    events: list[Event] = []
    assert Tcp(proc, events.append).read(1.0)["tcp_listen_drops"] is None
    assert events == []


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        "Tcp: OutSegs RetransSegs\n",
        "Tcp: OutSegs RetransSegs\nTcp: 5 N/A\n",
        "Tcp: OutSegs RetransSegs\nTcp: \xff\n",
    ],
)
def test_nonsense_is_unknown_and_told_once(proc, spoilt):
    (proc / "net/snmp").write_text(spoilt)
    events: list[Event] = []
    tcp = Tcp(proc, events.append)
    for at in (1.0, 2.0):
        values = tcp.read(at)
        assert values["tcp_retransmits"] is None
        assert values["tcp_timeouts"] == 7
    assert [event.kind for event in events] == [EventKind.UNREADABLE]


def test_a_word_in_place_of_a_number_is_quoted(proc):
    (proc / "net/snmp").write_text("Tcp: OutSegs RetransSegs\nTcp: 5 N/A\n")
    events: list[Event] = []
    assert Tcp(proc, events.append).read(1.0)["tcp_segments_out"] == 5
    assert events[0].message.endswith("net/snmp says 'N/A', which is no value")


def test_no_files_are_no_trouble(tmp_path):
    events: list[Event] = []
    assert Tcp(tmp_path, events.append).read(1.0) == UNKNOWN
    assert events == []


def test_this_machine_sends_segments():
    values = Tcp(Path("/proc"), print).read(1.0)
    assert values["tcp_segments_out"] >= values["tcp_retransmits"] >= 0
    assert values["tcp_timeouts"] >= 0
