"""node_exporter's names from the kernel's files: texts as Linux writes them, and texts that hold nonsense."""

import os
from pathlib import Path

import pytest

from dcdaemon.telemetry.node_names import disks, network, system
from dcdaemon.telemetry.node_names.reader import NodeNames

STAT = """\
cpu  300 1 60 4000 10 0 5 0 3 0
cpu0 100 1 20 2000 5 0 2 0 3 0
cpu1 200 0 40 2000 5 0 3 0 0 0
intr 123456 1 2 3
ctxt 987
btime 1700000000
processes 55
procs_running 2
procs_blocked 0
softirq 1 2 3
"""
MEMINFO = "MemTotal:       16384 kB\nActive(anon):     10 kB\nHugePages_Total:       4\nHugepagesize:     2048 kB\n"
DISKSTATS = """\
 259       0 nvme0n1 10 1 80 250 20 2 160 500 3 700 900 4 5 6 7 8 9
 259       1 nvme0n1p1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
   8       0 sda 1 0 8 1 0 0 0 0 0 1 1
   8       1 sda1 1 0 8 1 0 0 0 0 0 1 1
   7       0 loop0 1 0 8 1 0 0 0 0 0 1 1
 253       0 dm-0 5 0 8 1 0 0 0 0 0 1 1
"""
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
  eth0:  100 0 0 0 0 0 0 0 200 0 0 0 0 0 0 0
"""  # noqa: E501
SNMP = "Tcp: RtoMin MaxConn InSegs OutSegs\nTcp: 200 -1 50 60\nUdp: InDatagrams NoPorts\nUdp: 7 8\n"
NETSTAT = "TcpExt: SyncookiesSent ListenDrops TW\nTcpExt: 1 2 3\n"
SNMP6 = "Ip6InReceives                   \t5\nIp6InOctets                     \t77\nUdp6InErrors \t3\n"


def told(families) -> dict[str, float]:
    """Return every series as `name{value of label,...}`."""
    return {
        f"{family.name}{{{','.join(values)}}}" if values else family.name: number
        for family in families
        for values, number in family.rows
    }


def test_cpus_by_mode_in_seconds_and_the_single_numbers_of_proc_stat():
    values = told(system.stat(STAT))
    ticks = os.sysconf("SC_CLK_TCK")
    assert values["node_cpu_seconds_total{0,user}"] == 100 / ticks
    assert values["node_cpu_seconds_total{1,idle}"] == 2000 / ticks
    assert values["node_cpu_guest_seconds_total{0,user}"] == 3 / ticks
    assert "node_cpu_seconds_total{,user}" not in values
    assert len([name for name in values if name.startswith("node_cpu_seconds")]) == 16
    assert values["node_boot_time_seconds"] == 1_700_000_000
    assert (values["node_context_switches_total"], values["node_intr_total"]) == (987, 123456)
    assert (values["node_forks_total"], values["node_procs_running"], values["node_procs_blocked"]) == (55, 2, 0)


def test_memory_in_bytes_under_names_without_brackets():
    assert told(system.meminfo(MEMINFO)) == {
        "node_memory_MemTotal_bytes": 16384 * 1024, "node_memory_Active_anon_bytes": 10240,
        "node_memory_HugePages_Total": 4, "node_memory_Hugepagesize_bytes": 2048 * 1024,
    }  # fmt: skip


def test_load_pressure_files_and_uname():
    assert told(system.loadavg("0.50 1.25 2.00 1/100 4242\n")) == {
        "node_load1": 0.5,
        "node_load5": 1.25,
        "node_load15": 2,
    }
    text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n"
    assert told(system.pressure("memory", text)) == {
        "node_pressure_memory_waiting_seconds_total": 1.5, "node_pressure_memory_stalled_seconds_total": 0.25,
    }  # fmt: skip
    assert told(system.pressure("cpu", text)) == {"node_pressure_cpu_waiting_seconds_total": 1.5}
    assert told(system.pressure("irq", text)) == {"node_pressure_irq_stalled_seconds_total": 0.25}
    assert told(system.file_nr("1024\t0\t9223372036854775807\n")) == {
        "node_filefd_allocated": 1024, "node_filefd_maximum": 9223372036854775807,
    }  # fmt: skip
    names = os.uname_result(("Linux", "n1", "6.1.0", "#1 SMP", "x86_64"))
    assert told([system.uname(names, "(none)\n")]) == {"node_uname_info{Linux,6.1.0,#1 SMP,x86_64,n1,(none)}": 1}


def test_whole_disks_with_every_number_and_old_kernels_with_fewer():
    values = told(disks.diskstats(DISKSTATS))
    assert {name.partition("{")[2] for name in values} == {"nvme0n1}", "sda}", "dm-0}"}
    assert {name.partition("{")[0].removeprefix("node_disk_"): value for name, value in values.items()
            if "nvme0n1" in name} == {
        "reads_completed_total": 10, "reads_merged_total": 1, "read_bytes_total": 80 * 512,
        "read_time_seconds_total": 0.25, "writes_completed_total": 20, "writes_merged_total": 2,
        "written_bytes_total": 160 * 512, "write_time_seconds_total": 0.5, "io_now": 3,
        "io_time_seconds_total": 0.7, "io_time_weighted_seconds_total": 0.9, "discards_completed_total": 4,
        "discards_merged_total": 5, "discarded_sectors_total": 6, "discard_time_seconds_total": 0.007,
        "flush_requests_total": 8, "flush_requests_time_seconds_total": 0.009,
    }  # fmt: skip
    assert "node_disk_discards_completed_total{sda}" not in values


def test_interfaces_in_all_sixteen_columns():
    values = told(network.net_dev(NET_DEV))
    assert len(values) == 32
    assert values["node_network_receive_bytes_total{eth0}"] == 100
    assert values["node_network_transmit_bytes_total{eth0}"] == 200
    assert [values[f"node_network_receive_{word}_total{{lo}}"] for word in ("frame", "multicast")] == [6, 8]
    assert [values[f"node_network_transmit_{word}_total{{lo}}"] for word in ("colls", "compressed")] == [14, 16]


def test_links_with_what_sys_tells_of_them():
    files = {
        "eth0": {"operstate": "up", "mtu": "9000", "speed": "100000", "carrier": "1", "tx_queue_len": "1000"},
        "eth1": {"operstate": "down", "mtu": "1500", "speed": "-1", "carrier": "", "carrier_changes": "3"},
    }
    assert told(network.net_class(files)) == {
        "node_network_up{eth0}": 1, "node_network_up{eth1}": 0, "node_network_mtu_bytes{eth0}": 9000,
        "node_network_mtu_bytes{eth1}": 1500, "node_network_speed_bytes{eth0}": 12_500_000_000,
        "node_network_carrier{eth0}": 1, "node_network_transmit_queue_length{eth0}": 1000,
        "node_network_carrier_changes_total{eth1}": 3,
    }  # fmt: skip


def test_arp_softnet_and_connection_tracking():
    head = "IP address       HW type     Flags       HW address            Mask     Device\n"
    line = "10.0.0.{}         0x1         0x2         00:00:00:00:00:01     *        {}\n"
    text = head + line.format(1, "eth0") + line.format(2, "eth0") + line.format(3, "ib0")
    assert told([network.arp(text)]) == {"node_arp_entries{eth0}": 2, "node_arp_entries{ib0}": 1}
    old = "0000000a 00000001 00000002 00000000\n"
    new = f"{old.strip()} {'00000000 ' * 8}00000007\n"
    values = told(network.softnet(old + new))
    assert values["node_softnet_processed_total{0}"] == 10
    assert values["node_softnet_dropped_total{7}"] == 1
    assert values["node_softnet_times_squeezed_total{7}"] == 2
    assert told(network.conntrack("12\n", "262144\n")) == {
        "node_nf_conntrack_entries": 12, "node_nf_conntrack_entries_limit": 262144,
    }  # fmt: skip
    assert told(network.conntrack("", "")) == {}


def test_protocol_counters_that_node_exporter_shows_by_default_and_no_others():
    assert told(network.netstat(SNMP, NETSTAT, snmp6=SNMP6)) == {
        "node_netstat_Tcp_InSegs": 50, "node_netstat_Tcp_OutSegs": 60, "node_netstat_Udp_InDatagrams": 7,
        "node_netstat_Udp_NoPorts": 8, "node_netstat_TcpExt_SyncookiesSent": 1, "node_netstat_TcpExt_ListenDrops": 2,
        "node_netstat_Ip6_InOctets": 77, "node_netstat_Udp6_InErrors": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "\n", "garbage", "a b c\n: :\n", "cpu0\ncpu1 x y z\nbtime soon\n", "\x00\xff" * 50]
)
def test_nonsense_tells_nothing_and_stops_nothing(text):
    for family in (
        *system.stat(text), *system.meminfo(text), *system.loadavg(text), *system.pressure("io", text),
        *system.file_nr(text), *disks.diskstats(text), *network.net_dev(text), network.arp(text),
        *network.conntrack(text, text), *network.netstat(text, text, snmp6=text),
        *network.net_class({"x": {"mtu": text}}),
    ):  # fmt: skip
        assert told([family]) in ({}, {"node_network_up{x}": 0})
    list(network.softnet(text))


def test_one_odd_number_costs_only_itself():
    odd = DISKSTATS.replace("sda 1 0 8", "sda N/A 0 8")
    assert told(disks.diskstats(DISKSTATS)).keys() - told(disks.diskstats(odd)).keys() == {
        "node_disk_reads_completed_total{sda}"
    }


def test_this_machine_is_read_and_what_it_lacks_is_left_out(tmp_path: Path):
    values = told(NodeNames()())
    for name in ("node_load1", "node_memory_MemTotal_bytes", "node_boot_time_seconds", "node_filefd_maximum"):
        assert values[name] >= 0
    assert values["node_time_seconds"] > values["node_boot_time_seconds"]
    empty = told(NodeNames(tmp_path, tmp_path)())
    assert {name.partition("{")[0] for name in empty} == {"node_time_seconds", "node_uname_info"}


def test_every_name_comes_once():
    names = [family.name for family in NodeNames()()]
    assert len(names) == len(set(names))
