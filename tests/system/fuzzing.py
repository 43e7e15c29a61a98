"""A daemon for schemathesis: callers of every role on both doors, whose jobs can hurt nobody."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from lack import missing
from system.daemon_process import Site

from dcdaemon.core.ports import DAEMON
from dcdaemon.core.token import Token, TokenRole, hash_token
from dcdaemon.store.sql_store import open_store

SEED = 7717
ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "fuzz" / "bin" / "python"
NOBODY, DAEMON_USER, BIN = 65534, 1, 2
#: Jobs made of random words run as these; the operator is one of them, so that none is ever run as root.
USERS = {"viewer": (DAEMON_USER, "daemon"), "submitter": (BIN, "bin"), "operator": (NOBODY, "nobody")}
SETTINGS = {
    "DCD_DAEMON__TCP": "127.0.0.1:0", "DCD_DAEMON__OPERATORS": "nobody", "DCD_JOBS__CPUS": "1",
    "DCD_JOBS__PER_USER": "40",
}  # fmt: skip


@dataclass(frozen=True)
class Caller:
    """One kind of caller: through which door, as whom."""

    name: str
    uid: int | None = None
    role: str | None = None

    @property
    def token(self) -> str | None:
        return None if self.role is None else f"{self.role}-token-of-the-fuzzer".ljust(43, "x")


CALLERS = [
    Caller("tcp, no token"),
    Caller("tcp, viewer", role="viewer"),
    Caller("tcp, submitter", role="submitter"),
    Caller("tcp, operator", role="operator"),
    Caller("unix, submitter", uid=BIN),
    Caller("unix, operator", uid=NOBODY),
]


def needs_schemathesis() -> None:
    """Skip, or fail where CI=true, unless `make fuzz` has installed it."""
    if not PYTHON.exists():
        missing("no schemathesis: make fuzz")


def break_nothing(new_site: Callable[..., Site], requests: int) -> None:
    """Send at least so many requests, by every kind of caller in turn, and check every answer."""
    needs_schemathesis()
    site = new_site(**SETTINGS)
    add_tokens(site)
    site.start()
    reports = fuzz(site, requests, SEED)
    for caller in CALLERS:
        tell(caller, reports[caller.name])
        judge(caller, reports[caller.name])
    assert sum(report["requests"] for report in reports.values()) >= requests
    is_healthy(site)


def add_tokens(site: Site) -> None:
    """Write the tokens of the callers into the database that the site's daemon is about to open."""
    store = open_store(f"sqlite:///{site.state_dir}/dcdaemon.db", os.uname().nodename)
    for role, (uid, user) in USERS.items():
        secret = Caller("", role=role).token or ""
        assert store.add_token(Token(hash_token(secret), role, uid, uid, user, TokenRole(role), 0.0, "root"), DAEMON)
    store.close()


def tcp_port(site: Site) -> int:
    """Return the port that the kernel chose."""
    connections = psutil.Process(site.pid).net_connections("tcp")
    [port] = {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
    return int(port)


def fuzz(site: Site, requests: int, seed: int) -> dict[str, dict[str, Any]]:
    """Send at least so many requests, the same ones as each caller, and return the reports by caller."""
    tcp = f"http://127.0.0.1:{tcp_port(site)}"
    callers = [
        {
            "name": one.name,
            "uid": one.uid,
            "token": one.token,
            "url": tcp if one.uid is None else f"unix://{site.socket}",
        }
        for one in CALLERS
    ]
    asked = json.dumps({"openapi": site.client.get("/openapi.json"), "callers": callers})
    command = [str(PYTHON), "-W", "ignore", str(ROOT / "tests" / "fuzz" / "fuzz.py"), str(requests), str(seed)]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    reports: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return reports


def judge(caller: Caller, report: dict[str, Any]) -> None:
    """Check that nothing broke, and that nobody was let in who should not be."""
    assert report["wrong"] == [], f"{caller.name}: {report['wrong_in_all']} answers are wrong"
    statuses = by_status(report)
    if caller.role is None and caller.uid is None:
        assert set(statuses) <= {400, 401}, statuses
        return
    assert any(200 <= status < 300 for status in statuses), statuses
    if caller.role == "viewer":
        posts = (row for row in report["rows"] if not row["route"].startswith("GET "))
        assert [row for row in posts if row["status"] not in (0, 400, 403)] == []
    if "operator" not in caller.name:
        opened = [row for row in report["rows"] if _is_operators(row["route"]) and 200 <= row["status"] < 300]
        assert opened == []


def _is_operators(route: str) -> bool:
    from dcdaemon.api.needs import NEEDS, Need  # noqa: PLC0415  quick tests need none of it

    method, _, path = route.partition(" ")
    return NEEDS[method, path] is Need.OPERATE


def by_status(report: dict[str, Any]) -> Counter[int]:
    """Return how often each status was answered."""
    counts: Counter[int] = Counter()
    for row in report["rows"]:
        counts[row["status"]] += row["times"]
    return counts


def tell(caller: Caller, report: dict[str, Any]) -> None:
    """Print how often each route answered with which status."""
    sys.stdout.write(f"{caller.name}: {report['requests']} requests, {dict(sorted(by_status(report).items()))}\n")
    routes = sorted({row["route"] for row in report["rows"]})
    for route in routes:
        rows = (f"{row['status']}: {row['times']}" for row in report["rows"] if row["route"] == route)
        sys.stdout.write(f"  {route:<40} {', '.join(rows)}\n")


def is_healthy(site: Site) -> None:
    """Check that the daemon goes on, and that its log holds no traceback and no token."""
    assert site.alive()
    assert site.client.get("/v1/status")["you"] == "root"
    said = site.log.read_text(errors="replace")
    assert "Traceback" not in said, said[-3000:]
    for role in USERS:
        assert (Caller("", role=role).token or "") not in said
