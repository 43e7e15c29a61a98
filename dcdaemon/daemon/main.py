"""`dcd daemon run`: load the configuration, build the daemon, say what it is, run until asked to stop."""

import contextlib
import ctypes
import gc
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dcdaemon import __version__
from dcdaemon.config.load import Loaded, load
from dcdaemon.control.change import cancel
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import DcdError
from dcdaemon.core.ports import Actor
from dcdaemon.daemon.lifecycle import Stop, notify, on_signals, set_up_logging

log = logging.getLogger(__name__)
DEMO_GPUS = 8
_DEMO_ENDS_WITHIN_S = 5.0
#: A demo shall show the idle-GPU rule within a coffee break.
_DEMO_FLAGS = {"anomalies.idle_after": "12s", "daemon.log_level": "warning", "jobs.cpus": 64}


def run(
    config_path: str | None = None,
    *,
    demo: bool = False,
    simulate_gpus: int | None = None,
    once: bool = False,
) -> int:
    """Run the daemon in this process; returns its exit code. Raises BadConfig and StoreUnavailable at start."""
    if not demo:
        return _run(lambda: _load(config_path, None), None, simulated=simulate_gpus or 0, once=once)
    directory = Path(tempfile.mkdtemp(prefix="dcd-demo-"))
    made: list[Path] = []
    try:
        made = [
            parent for parent in Path(load(_named(config_path)).config.daemon.socket).parents if not parent.exists()
        ]
        return _run(lambda: _load(config_path, directory), directory, simulated=simulate_gpus or DEMO_GPUS, once=once)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        for parent in made:  # innermost first: nothing is left behind
            with contextlib.suppress(OSError):
                parent.rmdir()


def _load(config_path: str | None, demo_dir: Path | None) -> Loaded:
    flags: dict[str, object] = {}
    files = _named(config_path)
    if demo_dir is not None:
        # On the usual socket, although its state is elsewhere: the commands shall find it without being told.
        flags["daemon.socket"] = load(files).config.daemon.socket
        flags |= {**_DEMO_FLAGS, "daemon.state_dir": str(demo_dir)}
        flags["storage.url"] = f"sqlite:///{demo_dir}/dcdaemon.db"
    return load(files, flags=flags)


def _named(config_path: str | None) -> list[Path] | None:
    return None if config_path is None else [Path(config_path)]


def _run(again: Callable[[], Loaded], demo_dir: Path | None, *, simulated: int, once: bool) -> int:
    """Run with the configuration that `again` reads, now and at each reload."""
    loaded = again()
    # Everything heavy is imported after the configuration is known to be good: a typo is told at once.
    from dcdaemon.daemon.build import Daemon, refuse_simulation  # noqa: PLC0415
    from dcdaemon.daemon.reload import Reload  # noqa: PLC0415

    config = loaded.config
    set_up_logging(config.daemon.log_level, config.daemon.log_format)
    for warning in loaded.warnings:
        log.warning(warning, extra={"action": "config_warning"})
    refuse_simulation(simulated)
    sys.setswitchinterval(0.001)  # submits share the interpreter with sweeps: hand it over quickly
    stop = Stop()
    daemon = Daemon(loaded, stop, gpus_simulated=simulated)
    reload = Reload(daemon, loaded, again)
    on_signals(stop, reload)
    try:
        daemon.start()
        print(_first_line(daemon.desk, loaded, demo_dir, known=daemon.gpus_known), flush=True)  # noqa: T201  the first line
        notify("READY=1", "STATUS=running")
        reload.open()
        _give_back_memory()
        if not once:
            stop.wait()
        notify("STOPPING=1")
        if demo_dir is not None:
            end_jobs(daemon.desk)
    finally:
        daemon.close()
    log.info("stopped", extra={"action": "daemon_stopped", "why": stop.reason or "once"})
    return stop.exit_code


def _give_back_memory() -> None:
    """Return to the kernel what only the start needed: the C library would keep it for good."""
    gc.collect()
    gc.freeze()  # what is there now stays: the collector need not look at it again
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def end_jobs(desk: Desk) -> None:
    """Cancel what a demo started: its jobs' files are about to go."""
    operator = Actor(os.geteuid(), os.getegid(), "demo", operator=True)
    for job in desk.book.unfinished():
        with contextlib.suppress(DcdError):
            cancel(desk, operator, job.id, "KILL")
    deadline = time.monotonic() + _DEMO_ENDS_WITHIN_S
    while desk.book.active() and time.monotonic() < deadline:
        time.sleep(0.05)


def _first_line(desk: Desk, loaded: Loaded, demo_dir: Path | None, *, known: bool) -> str:
    config, gpus = loaded.config, len(desk.gpus)
    # A driver may take its time: GPUs that are not known yet are no proof that there are none.
    none = "no GPU (the host alone is watched)" if known else "no GPU known yet (the driver has not answered)"
    real = f"{gpus} GPUs of the NVIDIA driver" if gpus else none
    what = f"{gpus} SIMULATED H100 GPUs" if desk.gpus_simulated else real
    kept = f"data in {demo_dir} (removed on exit)" if demo_dir is not None else f"data in {config.daemon.state_dir}"
    doors = f"unix://{config.daemon.socket}" + (f" and http://{config.daemon.tcp}" if config.daemon.tcp else "")
    return f"dcdaemon {__version__} · {'demo: ' if demo_dir else ''}{what} · {doors} · {kept}"
