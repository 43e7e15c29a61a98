"""The named moments of a job's life at which a daemon can be made to kill itself."""

import importlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from system import deadly_shims

from dcdaemon.core.job import ENDED

Meets = Callable[[tuple[Any, ...], Any], bool]
BEFORE, AFTER = "before", "after"
SHIM = "shim: "
#: How long a daemon about to die waits for the shim to reach the moment that was named.
SHIM_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Point:
    """A function of the daemon, and which of its calls is the moment: the first one that `meets` accepts."""

    target: str
    side: str
    meets: Meets = lambda _arguments, _answer: True
    #: Work of the last moment: leave only when the shim has come that far.
    linger: Callable[[tuple[Any, ...], Any], None] = lambda _arguments, _answer: None


def arm(name: str) -> None:
    """Replace the function of this point by one that SIGKILLs its own process at the named moment.

    "shim: STEP" has the fork-server's first shim die there, or itself (see `deadly_shims`); the daemon lives on.
    """
    if name.startswith(SHIM):
        _arm_the_fork_server(name.removeprefix(SHIM))
        return
    point = POINTS[name]
    module_name, _, path = point.target.partition(":")
    owner: Any = importlib.import_module(module_name)
    *classes, attribute = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original = getattr(owner, attribute)

    def deadly(*arguments: Any, **named: Any) -> Any:
        if point.side == BEFORE and point.meets(arguments, None):
            _die(point, arguments, None)
        answer = original(*arguments, **named)
        if point.side == AFTER and point.meets(arguments, answer):
            _die(point, arguments, answer)
        return answer

    setattr(owner, attribute, deadly)


def _arm_the_fork_server(step: str) -> None:
    from dcdaemon.runner import spawner  # noqa: PLC0415

    place = Path(os.environ["DCD_DAEMON__STATE_DIR"]).parent
    program = place / "deadly-forkserver.py"
    program.write_text(deadly_shims.program(step, place / "deadly-once"))
    spawner.FORK_SERVER = program


def _die(point: Point, arguments: tuple[Any, ...], answer: Any) -> None:
    point.linger(arguments, answer)
    os.kill(os.getpid(), signal.SIGKILL)


def _some_change(accept: Callable[[Any], bool]) -> Meets:
    """Accept a `SqlStore.save(changes)` in which some change is of this kind."""
    return lambda arguments, _: any(accept(change) for change in arguments[1])


def _one_change(accept: Callable[[Any], bool]) -> Meets:
    """Accept a `store.jobs._apply(connection, change)` of this kind."""
    return lambda arguments, _: accept(arguments[1])


def _until(pattern: str) -> Callable[[tuple[Any, ...], Any], None]:
    """Wait until a file of this name stands in the attempt's directory, for `Spawner.fork(self, directory, n)`."""

    def linger(arguments: tuple[Any, ...], _: Any) -> None:
        directory: Path = arguments[1]
        deadline = time.monotonic() + SHIM_WITHIN_S
        while not any(directory.glob(pattern)) and time.monotonic() < deadline:
            time.sleep(0.0005)

    return linger


def _until_output(arguments: tuple[Any, ...], _: Any) -> None:
    deadline = time.monotonic() + SHIM_WITHIN_S
    while time.monotonic() < deadline:
        log = arguments[1] / "output.log"
        if log.exists() and log.stat().st_size:
            return
        time.sleep(0.0005)


def _freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    Path(os.environ["DCD_DAEMON__STATE_DIR"], "frozen").write_text(str(pid))


def _freeze_shim(_: tuple[Any, ...], launched: Any) -> None:
    _freeze(launched.shim_pid)


def _leave_request_with_a_frozen_fork_server(arguments: tuple[Any, ...], _: Any) -> None:
    spawner, request = arguments
    _freeze(spawner.pid)
    spawner._link.send(request)


def _starting(change: Any) -> bool:
    return str(change.after.state) == "starting"


def _running(change: Any) -> bool:
    return str(change.after.state) == "running" and str(change.before.state) == "starting"


def _stopping(change: Any) -> bool:
    return str(change.after.state) == "stopping"


def _ended(change: Any) -> bool:
    return change.after.state in ENDED and str(change.before.state) != "waiting"


def _requeued(change: Any) -> bool:
    return change.action == "requeue" and str(change.after.state) == "waiting"


_SAVE = "dcdaemon.store.sql_store:SqlStore.save"
_APPLY = "dcdaemon.store.jobs:_apply"
_FORK = "dcdaemon.runner.spawner:Spawner.fork"

#: The life of a job from the request to the release, in order.
LIFE = {
    "submit request read": Point("dcdaemon.api.jobs:submit", BEFORE),
    "environment about to be kept": Point("dcdaemon.runner.envs:EnvFiles.keep", BEFORE),
    "environment kept": Point("dcdaemon.runner.envs:EnvFiles.keep", AFTER),
    "submit written, not committed": Point("dcdaemon.store.jobs:submit", AFTER),
    "submit committed": Point("dcdaemon.store.sql_store:SqlStore.submit", AFTER),
    "submit about to be answered": Point("dcdaemon.api.jobs:submit", AFTER),
    "plan made": Point("dcdaemon.control.start:apply_plan", BEFORE),
    "start written, not committed": Point(_APPLY, AFTER, _one_change(_starting)),
    "start committed": Point("dcdaemon.control.start:apply_plan", AFTER),
    "spec about to be written": Point("dcdaemon.runner.attempt:AttemptDirectory.prepare", BEFORE),
    "spec written": Point("dcdaemon.runner.attempt:AttemptDirectory.prepare", AFTER),
    "fork-server about to be asked": Point(_FORK, BEFORE),
    "fork-server has answered": Point(_FORK, AFTER),
    "launch claimed by the shim": Point(_FORK, AFTER, linger=_until("claim.*")),
    "job recorded by the shim": Point(_FORK, AFTER, linger=_until("state.json")),
    "job's first instructions done": Point(_FORK, AFTER, linger=_until_output),
    "exit recorded before the start was": Point(_FORK, AFTER, linger=_until("exit.json")),
    "running about to be committed": Point(_SAVE, BEFORE, _some_change(_running)),
    "running written, not committed": Point(_APPLY, AFTER, _one_change(_running)),
    "running committed": Point(_SAVE, AFTER, _some_change(_running)),
    "end about to be noticed": Point("dcdaemon.daemon.conductor:Conductor.ended", BEFORE),
    "end noticed": Point("dcdaemon.daemon.conductor:Conductor.ended", AFTER),
    "end about to be committed": Point(_SAVE, BEFORE, _some_change(_ended)),
    "end written, not committed": Point(_APPLY, AFTER, _one_change(_ended)),
    "end committed": Point(_SAVE, AFTER, _some_change(_ended)),
    "GPUs about to be released in memory": Point(
        "dcdaemon.control.book:Book._put", BEFORE, lambda arguments, _: arguments[1].state in ENDED
    ),
    "GPUs released in memory": Point(
        "dcdaemon.control.book:Book._put", AFTER, lambda arguments, _: arguments[1].state in ENDED
    ),
    "use about to be booked": Point(
        "dcdaemon.store.sql_store:SqlStore.book", BEFORE, lambda arguments, _: bool(arguments[2])
    ),
    "use booked": Point("dcdaemon.store.sql_store:SqlStore.book", AFTER, lambda arguments, _: bool(arguments[2])),
}

#: What a daemon does on its way up with jobs of an earlier one.
RECOVERY = {
    "queue about to be loaded": Point("dcdaemon.daemon.build:load", BEFORE),
    "job adopted": Point("dcdaemon.engines.local:LocalEngine.adopt", AFTER),
    "queue loaded": Point("dcdaemon.daemon.build:load", AFTER),
    "door about to be opened": Point("dcdaemon.api.server:ApiServer.start", BEFORE),
}

#: What else is done to a job: cancel and requeue, each a commit and an act.
STOP = {
    "stop about to be committed": Point(_SAVE, BEFORE, _some_change(_stopping)),
    "stop committed": Point(_SAVE, AFTER, _some_change(_stopping)),
    "shim asked to stop": Point("dcdaemon.engines.local:LocalEngine.stop", AFTER),
}
REQUEUE = {
    "requeue about to be committed": Point(_SAVE, BEFORE, _some_change(_requeued)),
    "requeue committed": Point(_SAVE, AFTER, _some_change(_requeued)),
}
#: What an earlier daemon has set in motion, and comes about only after the next one has taken over.
FROZEN = {
    "request read by no fork-server yet": Point(
        "dcdaemon.runner.spawner:Spawner._ask", BEFORE, linger=_leave_request_with_a_frozen_fork_server
    ),
    "shim frozen as soon as it exists": Point(_FORK, AFTER, linger=_freeze_shim),
}

POINTS = LIFE | RECOVERY | STOP | REQUEUE | FROZEN
