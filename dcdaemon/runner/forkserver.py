"""The fork-server: keeps the shim loaded and forks one for each request; a fresh interpreter costs 40 ms.

Run by file name with one end of a SOCK_SEQPACKET pair as its argument. It ends with the daemon; the shims
live on, and its own death harms none of them.
"""

# as in the shim:
# ruff: noqa: PTH100, PTH118, PTH120

import contextlib
import gc
import importlib.util
import json
import os
import signal
import sys
from types import ModuleType

REQUEST_MAX_BYTES = 65536


def serve(link: int, shim: ModuleType) -> None:
    """Answer requests until the daemon hangs up."""
    while packet := os.read(link, REQUEST_MAX_BYTES):
        request = json.loads(packet)
        answer = {"id": request["id"], **_fork(link, shim, request["dir"], request["launch"])}
        with contextlib.suppress(BrokenPipeError):  # the daemon died after it asked; the shim goes on
            os.write(link, json.dumps(answer).encode("ascii"))


def _fork(link: int, shim: ModuleType, directory: str, launch: int) -> dict[str, object]:
    # Blocked across the fork, so that a stop which follows at once is kept for the shim to read.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, shim.WATCHED)
    try:
        pid = os.fork()
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        return {"error": f"cannot fork: {error.strerror}"}
    if pid == 0:
        _be_shim(link, shim, directory, launch)
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    return {"shim_pid": pid, "shim_start_ticks": shim.start_ticks(pid)}


def _be_shim(link: int, shim: ModuleType, directory: str, launch: int) -> None:
    """Run the shim in this forked child; never returns."""
    try:
        os.close(link)  # or the daemon would not see that the fork-server is gone
        os.dup2(0, 2)  # the daemon's stderr may be a pipe that someone waits on; 0 and 1 are /dev/null already
        shim.run(directory, launch)
    finally:
        os._exit(0)


def _load_shim() -> ModuleType:
    """Load the shim by its file: this interpreter runs without site-packages and without our package."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shim.py")
    spec = importlib.util.spec_from_file_location("shim", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    shim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shim)
    return shim


def main() -> None:
    """Load everything once, then freeze it: pages that no collection touches stay shared with the shims."""
    link = int(sys.argv[1])
    os.set_inheritable(link, False)  # noqa: FBT003
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries ended shims
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")
    shim = _load_shim()
    gc.collect()
    gc.disable()
    gc.freeze()
    serve(link, shim)


if __name__ == "__main__":
    main()
