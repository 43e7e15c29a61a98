"""Interfaces, ARP, softnet, connection tracking and protocol counters under node_exporter's names."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache

from dcdaemon.core.exposed import Exposed
from dcdaemon.telemetry.numbers import whole

#: The columns of /proc/net/dev.
_RECEIVE = ("bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast")
_TRANSMIT = ("bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed")
_SOFTNET = {0: "processed", 1: "dropped", 2: "times_squeezed"}
_SOFTNET_CPU = 12
#: What node_exporter shows of them by default.
_NETSTAT = re.compile(
    r".*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    r"|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)"
    r"|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    r"|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors)"
)
#: A file of /sys/class/net/*: the name, its kind, what one is in the unit of the name, and what it means.
CLASS_FILES = {
    "mtu": ("mtu_bytes", "gauge", 1, "Largest packet."),
    "tx_queue_len": ("transmit_queue_length", "gauge", 1, "Packets that may wait to be sent."),
    "carrier": ("carrier", "gauge", 1, "1 while there is a link."),
    "carrier_changes": ("carrier_changes_total", "counter", 1, "Times the link came or went."),
    # Megabits a second; -1 where there is no link.
    "speed": ("speed_bytes", "gauge", 125_000, "Speed of the link, bytes a second."),
}


def net_dev(text: str) -> Iterator[Exposed]:
    """Return the counters of each interface, loopback and veth among them."""
    rows = (line.rpartition(":") for line in text.splitlines() if ":" in line)
    interfaces = [(name.strip(), numbers.split()) for name, _, numbers in rows]
    columns = [("receive", word) for word in _RECEIVE] + [("transmit", word) for word in _TRANSMIT]
    for place, (way, word) in enumerate(columns):
        told = ((name, whole(numbers[place])) for name, numbers in interfaces if len(numbers) == len(columns))
        counted = [((name,), number) for name, number in told if number is not None]
        meaning = f"Column {word} of /proc/net/dev, {way}."
        yield Exposed(f"node_network_{way}_{word}_total", "counter", meaning, ("device",), counted)


def net_class(files: dict[str, dict[str, str]]) -> Iterator[Exposed]:
    """Return what /sys/class/net tells, by interface and file."""
    states = [((name,), int(of.get("operstate") == "up")) for name, of in files.items()]
    yield Exposed("node_network_up", "gauge", "1 while operstate is up.", ("device",), states)
    for file, (name, kind, scale, meaning) in CLASS_FILES.items():
        told = ((interface, whole(of.get(file, ""), scale)) for interface, of in files.items())
        rows = [((interface,), number) for interface, number in told if number is not None]
        yield Exposed(f"node_network_{name}", kind, meaning, ("device",), rows)


def arp(text: str) -> Exposed:
    """Return the entries of /proc/net/arp by interface."""
    lines = (line.split() for line in text.splitlines()[1:])
    counts = Counter(fields[-1] for fields in lines if len(fields) == 6)
    rows = [((name,), count) for name, count in counts.items()]
    return Exposed("node_arp_entries", "gauge", "ARP entries by interface.", ("device",), rows)


def softnet(text: str) -> Iterator[Exposed]:
    """Return what each CPU did with packets (/proc/net/softnet_stat, hexadecimal)."""
    lines = [line.split() for line in text.splitlines()]
    for place, word in _SOFTNET.items():
        rows = [
            ((str(_cpu(fields, line)),), number)
            for line, fields in enumerate(lines)
            if len(fields) > place and (number := _hex(fields[place])) is not None
        ]
        yield Exposed(f"node_softnet_{word}_total", "counter", f"Packets: {word.replace('_', ' ')}.", ("cpu",), rows)


def conntrack(entries: str, limit: str) -> Iterator[Exposed]:
    """Return how many connections are tracked, and may be."""
    for name, text in (("entries", entries), ("entries_limit", limit)):
        number = whole(text.strip())
        if number is not None:
            yield Exposed(f"node_nf_conntrack_{name}", "gauge", "Tracked connections.", (), [((), number)])


def netstat(*texts: str, snmp6: str = "") -> Iterator[Exposed]:
    """Return counters of protocols; snmp and netstat tell names and numbers in two lines, snmp6 one in each line."""
    for name, text in (*_in_two_lines(texts), *_in_one_line(snmp6)):
        value = whole(text) if _shown(name) else None
        if value is not None:
            yield Exposed(f"node_netstat_{name}", "untyped", f"Protocol counter {name}.", (), [((), value)])


def _in_two_lines(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        lines = text.splitlines()
        for heads, numbers in zip(lines[::2], lines[1::2], strict=False):
            protocol, _, words = heads.partition(":")
            if numbers.startswith(f"{protocol}:"):
                for word, number in zip(words.split(), numbers.split()[1:], strict=False):
                    yield f"{protocol}_{word}", number


def _in_one_line(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        word, _, number = line.partition(" ")
        protocol, six, rest = word.partition("6")
        if six:
            yield f"{protocol}6_{rest}", number.strip()


@cache
def _shown(name: str) -> bool:
    return _NETSTAT.fullmatch(name) is not None


def _cpu(fields: list[str], line: int) -> int:
    # Since Linux 5.10 a line tells its CPU; those that are off have none.
    cpu = _hex(fields[_SOFTNET_CPU]) if len(fields) > _SOFTNET_CPU else None
    return line if cpu is None else cpu


def _hex(text: str) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None
