"""Runs what the host asks for: a line of JSON comes through the virtio port, a line of JSON goes back."""

import base64
import http.client
import json
import os
import pwd
import socket
import subprocess
import threading
import time
from pathlib import Path

PORT_NAME = "dcd.agent"


def _port() -> str:
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == PORT_NAME:
            return f"/dev/{name.parent.name}"
    raise SystemExit("no virtio port of the name " + PORT_NAME)


def _as_user(user: str) -> dict:
    account = pwd.getpwnam(user)
    home = {"HOME": account.pw_dir, "USER": user, "LOGNAME": user}
    return {
        "user": account.pw_uid, "group": account.pw_gid, "extra_groups": os.getgrouplist(user, account.pw_gid),
        "cwd": account.pw_dir, "env": {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **home},
    }  # fmt: skip


def _run(request: dict) -> dict:
    options = _as_user(request["user"])
    given = request["stdin"].encode()
    try:
        done = subprocess.run(
            request["argv"], input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            timeout=request["within_s"], **options,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        return {"rc": 124, "out": base64.b64encode(error.output or b"").decode()}
    except OSError as error:
        return {"rc": 127, "out": base64.b64encode(str(error).encode()).decode()}
    return {"rc": done.returncode, "out": base64.b64encode(done.stdout).decode()}


def _put(request: dict) -> dict:
    path, account = Path(request["path"]), pwd.getpwnam(request["user"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(request["data"]))
    os.chown(path, account.pw_uid, account.pw_gid)
    path.chmod(request["mode"])
    return {"rc": 0, "out": ""}


class _Daemon(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect("/run/dcdaemon/dcd.sock")


def _get(request: dict) -> dict:
    """Ask the daemon as root: a command line for it takes seconds in here."""
    line = _Daemon("daemon")
    try:
        line.request("GET", request["path"])
        answer = line.getresponse()
        return {"rc": answer.status, "out": base64.b64encode(answer.read()).decode()}
    except OSError as error:
        return {"rc": 0, "out": base64.b64encode(str(error).encode()).decode()}
    finally:
        line.close()


_ANSWERS = {"run": _run, "put": _put, "get": _get, "hello": lambda _: {"rc": 0, "out": ""}}


def main() -> None:
    """Answer until the machine goes down; each request has a thread, replies come in any order."""
    writing = threading.Lock()
    port = os.open(_port(), os.O_RDWR)

    def answer(line: bytes) -> None:
        request = json.loads(line)
        reply = json.dumps({"id": request["id"], **_ANSWERS[request["op"]](request)}).encode() + b"\n"
        with writing:
            while reply:
                reply = reply[os.write(port, reply) :]

    rest = b""
    while True:
        chunk = os.read(port, 65536)
        if not chunk:  # the host is not there
            time.sleep(0.1)
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                threading.Thread(target=answer, args=(line,), daemon=True).start()


if __name__ == "__main__":
    main()
