"""Reads the kernel's files anew at each scrape, as node_exporter does; none of them can hang."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from dcdaemon.core.exposed import Exposed
from dcdaemon.telemetry.kernel_file import KernelFile, names_in
from dcdaemon.telemetry.node_names import disks, network, system

#: Files of /proc that are read whole, kept open.
_PROC = (
    "stat", "meminfo", "loadavg", "diskstats", "net/dev", "net/arp", "net/softnet_stat", "net/snmp", "net/netstat",
    "net/snmp6", "sys/fs/file-nr", "sys/kernel/domainname", "sys/net/netfilter/nf_conntrack_count",
    "sys/net/netfilter/nf_conntrack_max", "pressure/cpu", "pressure/memory", "pressure/io", "pressure/irq",
)  # fmt: skip


class NodeNames:
    """The node under node_exporter's names; filesystems are not among them, for one that hangs must hang nobody."""

    def __init__(self, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> None:
        self._files = {name: KernelFile(proc / name) for name in _PROC}
        self._interfaces = sys / "class" / "net"

    def __call__(self) -> Iterator[Exposed]:
        """Read everything once."""
        text = {name: file.text() for name, file in self._files.items()}
        yield Exposed("node_time_seconds", "gauge", "The time of the node.", (), [((), time.time())])
        yield system.uname(os.uname(), text["sys/kernel/domainname"])
        yield from system.stat(text["stat"])
        yield from system.meminfo(text["meminfo"])
        yield from system.loadavg(text["loadavg"])
        yield from system.file_nr(text["sys/fs/file-nr"])
        for resource in ("cpu", "memory", "io", "irq"):
            yield from system.pressure(resource, text[f"pressure/{resource}"])
        yield from disks.diskstats(text["diskstats"])
        yield from network.net_dev(text["net/dev"])
        yield from network.net_class(self._classes())
        yield network.arp(text["net/arp"])
        yield from network.softnet(text["net/softnet_stat"])
        conntrack = "sys/net/netfilter/nf_conntrack"
        yield from network.conntrack(text[f"{conntrack}_count"], text[f"{conntrack}_max"])
        yield from network.netstat(text["net/snmp"], text["net/netstat"], snmp6=text["net/snmp6"])

    def _classes(self) -> dict[str, dict[str, str]]:
        # Not kept open: a node with containers has hundreds of interfaces that come and go.
        wanted = ("operstate", *network.CLASS_FILES)
        folder = os.fspath(self._interfaces)
        return {
            name: {file: _word(f"{folder}/{name}/{file}") for file in wanted} for name in names_in(self._interfaces)
        }


def _word(path: str) -> str:
    """Return what a small file says, empty when it cannot be read; links that are down refuse some of theirs."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 64).decode("ascii", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(descriptor)
