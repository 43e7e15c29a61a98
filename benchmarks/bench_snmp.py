"""CPU of asking one switch of 48 ports, by SNMP v2c and by SNMPv3, side by side; a real snmpd answers.

The ports are those of a network namespace of its own, in which this runs once more: it needs `unshare` and `ip`.
"""

import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.bench_telemetry import free_port, snmpd_program

PORTS = 48
ROUNDS = int(os.environ.get("DCD_BENCH_S", "300"))
_INSIDE = "DCD_BENCH_NAMESPACE"
_COMMUNITY, _PASSPHRASE = "public", "a passphrase of the benchmark"
#: Who asks: what the line says, the SNMPv3 user, and its protocols as snmpd calls them.
ASKERS = (
    ("SNMP v2c", "", "", ""),
    ("SNMPv3, SHA and AES-128", "old", "SHA", "AES"),
    ("SNMPv3, SHA-256 and AES-128", "usual", "SHA-256", "AES"),
    ("SNMPv3, SHA-512 and AES-256", "strong", "SHA-512", "AES-256"),
)


def main() -> None:
    """Print the CPU of a round for each way of asking."""
    if os.environ.get(_INSIDE):
        measure()
    elif (program := snmpd_program()) is not None:
        again = [sys.executable, "-c", "from benchmarks.bench_snmp import main; main()"]
        apart = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
        if subprocess.run([*apart, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
            print("no network namespace can be had here, left out: snmp", file=sys.stderr)
            return
        subprocess.run([*apart, *again], env={**os.environ, _INSIDE: program}, check=True)


def measure() -> None:
    """Print the table, inside of the namespace."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for number in range(PORTS // 2):
        subprocess.run(["ip", "link", "add", f"port{number}", "type", "veth", "peer", f"peer{number}"], check=True)
    with tempfile.TemporaryDirectory(prefix="dcd-bench-") as name, agent(Path(name)) as port:
        askers = [asker(Path(name), port, *who) for _, *who in ASKERS]
        first_ms = [round_ms(one) for one in askers]
        # By turns, so that a busy machine is unfair to all of them alike.
        later_ms = [[round_ms(one) for one in askers] for _ in range(ROUNDS)]
    print(f"{f'{PORTS + 1} ports, CPU of a round, ms':<34} {'median':>7} {'first':>7}   of {ROUNDS} rounds")
    for place, (words, *_) in enumerate(ASKERS):
        median_ms = statistics.median(row[place] for row in later_ms)
        print(f"{words:<34} {median_ms:>7.2f} {first_ms[place]:>7.2f}")


def asker(folder: Path, port: int, user: str, signed: str, encrypted: str) -> Callable[[], int]:
    """Return what asks the device once, and returns how many samples came of it."""
    from dcdaemon.telemetry.snmp import Switches  # noqa: PLC0415
    from dcdaemon.telemetry.snmp_access import Access, Device  # noqa: PLC0415
    from dcdaemon.telemetry.snmp_keys import User, load_library  # noqa: PLC0415

    load_library()
    protocols = signed.lower(), "aes-256" if encrypted == "AES-256" else "aes-128"
    users = {user: User(user, *protocols, folder / "passphrase", folder / "passphrase")}
    minutes = itertools.count(step=60.0)
    switches = Switches(
        [Device("switch", "127.0.0.1", port, user)], Access(folder / "community", users), 60.0, print,
        monotonic=lambda: next(minutes),
    )  # fmt: skip
    return lambda: len(switches.read(time.time()))


def round_ms(ask: Callable[[], int]) -> float:
    """Return the CPU milliseconds of one round: the first one also derives keys and meets the device."""
    before_s = time.process_time()
    assert ask() == PORTS + 2
    return 1000 * (time.process_time() - before_s)


@contextlib.contextmanager
def agent(folder: Path) -> Iterator[int]:
    """Start a real SNMP agent that knows all who ask, and return its port."""
    for name, secret in (("community", _COMMUNITY), ("passphrase", _PASSPHRASE)):
        (folder / name).write_text(secret)
        (folder / name).chmod(0o600)
    users = [
        f'createUser {user} {signed} "{_PASSPHRASE}" {encrypted} "{_PASSPHRASE}"\nrouser {user} priv\n'
        for _, user, signed, encrypted in ASKERS
        if user
    ]
    config = folder / "snmpd.conf"
    config.write_text(f"rocommunity {_COMMUNITY} 127.0.0.1\n{''.join(users)}")
    port, quiet = free_port(socket.SOCK_DGRAM), subprocess.DEVNULL
    command = [os.environ[_INSIDE], "-f", "-r", "-Lo", "-C", "-c", str(config), "-p", str(folder / "snmpd.pid")]
    environment = {**os.environ, "SNMP_PERSISTENT_DIR": str(folder), "MIBS": ""}
    with subprocess.Popen([*command, f"udp:127.0.0.1:{port}"], stdout=quiet, stderr=quiet, env=environment) as process:
        try:
            while f"0100007F:{port:04X}" not in Path("/proc/net/udp").read_text():
                assert process.poll() is None, "snmpd does not start"
                time.sleep(0.05)
            yield port
        finally:
            process.kill()


if __name__ == "__main__":
    main()
