"""A fork-server of which the first shim dies at a named step, or which dies itself; run in place of the real one.

The real files are loaded and one function is replaced; nothing for this is in the product.
"""

import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

RUNNER = Path(__file__).parents[2] / "dcdaemon/runner"
BEFORE, AFTER = "before", "after"
Accepts = Callable[[tuple[Any, ...]], bool]
#: Where in the loaded files the step is: owner, function, side, and which call of it.
Place = tuple[str, str, str, Accepts]


def _any(_arguments: tuple[Any, ...]) -> bool:
    return True


def _end_renamed(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments[1] == "exit.json")


#: The life of a shim, in order; up to the release of the job none of them has run an instruction of it.
NOT_RECORDED = {
    "forked": ("shim", "_claim", BEFORE, _any),
    "launch claimed": ("shim", "_claim", AFTER, _any),
    "about to make the log": ("shim", "_make_job_file", BEFORE, _any),
    "job forked, not recorded": ("shim._Supervision", "_write_state", BEFORE, _any),
}
NOT_LET_GO = {
    "job recorded": ("shim._Supervision", "_write_state", AFTER, _any),
    "about to let the job go": ("shim.Ending", "begin", AFTER, _any),
}
RUNNING = {
    "job let go": ("shim._Supervision", "_let_go", AFTER, _any),
    "waiting for the end": ("shim", "_next_signal", BEFORE, _any),
    "last process gone": ("shim._Supervision", "write_exit", BEFORE, _any),
    "exit written, not yet in place": ("os", "rename", BEFORE, _end_renamed),
}
RECORDED = {"exit recorded": ("shim._Supervision", "write_exit", AFTER, _any)}
FORK_SERVER = {
    "request read": ("forkserver", "_fork", BEFORE, _any),
    "shim forked, not answered": ("forkserver", "_fork", AFTER, _any),
}
STEPS: dict[str, Place] = NOT_RECORDED | NOT_LET_GO | RUNNING | RECORDED | FORK_SERVER


def program(step: str, once: Path) -> str:
    """Return the text of a program that is such a fork-server; the first process to make `once` dies."""
    return (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('deadly_shims', {__file__!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        f"module.main({step!r}, {str(once)!r})\n"
    )


def main(step: str, once: str) -> None:
    """Serve as the real fork-server does, with the step armed."""
    server = _load("forkserver")
    load_shim = server._load_shim

    def load_armed() -> ModuleType:
        shim: ModuleType = load_shim()
        owners = {"shim": shim, "shim._Supervision": shim._Supervision, "shim.Ending": shim.Ending, "os": os}
        _arm({**owners, "forkserver": server}, STEPS[step], once)
        return shim

    server._load_shim = load_armed
    server.main()


def _arm(owners: dict[str, Any], place: Place, once: str) -> None:
    name, attribute, side, accepts = place
    original = getattr(owners[name], attribute)

    def deadly(*arguments: Any, **named: Any) -> Any:
        meant = accepts(arguments)
        if meant and side == BEFORE:
            _die(once)
        answer = original(*arguments, **named)
        if meant and side == AFTER:
            _die(once)
        return answer

    setattr(owners[name], attribute, deadly)


def _die(once: str) -> None:
    try:
        os.close(os.open(once, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _load(name: str) -> ModuleType:
    # As the product does it: by the file's name, in an interpreter that knows of no package.
    spec = importlib.util.spec_from_file_location(name, RUNNER / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
