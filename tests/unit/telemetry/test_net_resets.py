"""Counters that run backwards, of whatever device."""

from dataclasses import replace

from dcdaemon.core.event import Event, EventKind
from dcdaemon.core.samples import HostSample, IbSample, NetSample, SwitchPortSample
from dcdaemon.telemetry.resets import Resets

ETH = NetSample(at=0.0, interface="eth0", received_bytes=500, sent_bytes=400, packets_in=3)


def told(*sweeps) -> list[Event]:
    events: list[Event] = []
    resets = Resets(events.append)
    for samples in sweeps:
        resets.check(samples)
    return events


def test_counters_that_grow_or_stand_still_are_no_news():
    assert told([ETH], [ETH], [replace(ETH, at=5.0, received_bytes=501)]) == []


def test_a_device_that_counts_anew_is_one_event_with_what_fell():
    (event,) = told([ETH], [replace(ETH, at=5.0, received_bytes=1, sent_bytes=2, packets_in=9)])
    assert (event.at, event.kind, event.subject) == (5.0, EventKind.COUNTER_RESET, "eth0")
    assert event.message == "eth0 counts anew: received_bytes from 500 to 1, sent_bytes from 400 to 2"
    assert event.evidence == {"device": "net", "fell": {"received_bytes": [500, 1], "sent_bytes": [400, 2]}}


def test_after_a_reset_the_new_count_is_the_one_to_compare_with():
    low = replace(ETH, received_bytes=1)
    assert len(told([ETH], [low], [replace(low, received_bytes=2)])) == 1


def test_an_unknown_value_in_between_does_not_hide_a_reset():
    unknown = replace(ETH, received_bytes=None)
    assert told([ETH], [unknown], [ETH]) == []
    assert len(told([ETH], [unknown], [replace(ETH, received_bytes=1)])) == 1


def test_a_value_that_is_known_for_the_first_time_is_no_reset():
    assert told([replace(ETH, received_bytes=None)], [ETH]) == []


def test_a_device_that_is_gone_is_forgotten_and_another_one_in_its_place_is_no_reset():
    other = replace(ETH, interface="eth1")
    assert told([ETH, other], [other], [replace(ETH, received_bytes=1), other]) == []
    resets = Resets(print)
    for number in range(50):
        resets.check([other, replace(ETH, interface=f"pod{number}"), HostSample(at=0.0)])
    assert len(resets._last) == 2
    assert {len(devices) for devices in resets._last.values()} == {1, 2}


def test_a_kind_that_is_not_in_every_sweep_is_compared_with_its_last_one():
    port = IbSample(at=0.0, device="mlx5_0", port=1, link_downed=3)
    assert len(told([ETH, port], [ETH], [ETH, replace(port, link_downed=0)])) == 1


def test_gauges_and_other_devices_are_not_compared():
    other = replace(ETH, interface="eth1", received_bytes=1)
    slower = replace(ETH, speed_bps=10, up=False)
    assert told([replace(ETH, speed_bps=100, up=True)], [other, slower]) == []


def test_ports_and_the_node_itself_are_named():
    port = IbSample(at=0.0, device="mlx5_0", port=1, link_downed=3)
    host = HostSample(at=0.0, tcp_retransmits=9)
    events = told([port, host], [replace(port, link_downed=0), replace(host, tcp_retransmits=0)])
    assert [event.subject for event in events] == ["mlx5_0/1", "host"]


def test_many_counters_are_counted_in_the_message():
    full = replace(ETH, errors_in=9, errors_out=9)
    (event,) = told([full], [NetSample(0.0, "eth0", 0, 0, 0, 0, packets_in=0)])
    assert event.message.endswith("errors_in from 9 to 0 and 2 more")


def test_ports_of_switches_are_left_to_whoever_knows_when_a_switch_started():
    port = SwitchPortSample(at=0.0, switch="core1", port="1", errors_in=9)
    assert told([port], [replace(port, errors_in=0)]) == []
