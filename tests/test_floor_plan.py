"""The floor plan: which room may import which, and where each outside library lives (docs/floor-plan.md)."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "dcdaemon"
FLOOR_PLAN_PAGE = PACKAGE.parent / "docs" / "floor-plan.md"

MAY_IMPORT: dict[str, set[str]] = {
    # ground floor: words and settings
    "core": set(),
    "config": {"core"},
    # first floor: pure decisions
    "scheduler": {"core"},
    "anomalies": {"core"},
    "energy": {"core"},
    # second floor: hands on the outside world; neighbours never import each other
    "telemetry": {"core"},
    "store": {"core"},
    "runner": {"core"},
    "engines": {"core", "runner"},
    "client": {"core"},
    "grafana": {"core"},
    "fakes": {"core"},
    "workloads": set(),
    # third floor: use cases, and the door to them
    "control": {"core", "scheduler", "anomalies", "energy"},
    "api": {"core", "control"},
    # fourth floor: everything is put together here
    "daemon": {
        "core", "config", "scheduler", "anomalies", "energy", "telemetry",
        "store", "runner", "engines", "fakes", "control", "api",
    },
    # beside the daemon: the same decisions in virtual time
    "simulator": {"core", "scheduler"},
    # beside it, too: what a command line does to the machine itself
    "admin": {"core", "config", "store", "telemetry", "runner"},
    # roof: the commands
    "cli": {"core", "config", "client", "daemon", "grafana", "simulator", "admin"},
}  # fmt: skip

#: The commands load these only when they need them: `dcd ps` has to start quickly.
ONLY_INSIDE_FUNCTIONS_OF_CLI = {"daemon", "grafana", "simulator", "admin"}

#: Each outside library has one home. torch runs inside jobs, never inside the daemon.
HOME_OF: dict[str, str | tuple[str, ...]] = {
    "pynvml": "telemetry/",
    "psutil": "telemetry/",
    "Cryptodome": "telemetry/",
    "sqlalchemy": "store/",
    "alembic": "store/",
    "psycopg": "store/",
    "pyrage": "store/",
    "apscheduler": "daemon/",
    "fastapi": "api/",
    "starlette": "api/",
    "pydantic": "api/",
    "uvicorn": "api/",
    "httptools": "api/",
    "click": "cli/",
    "rich": "cli/",
    "grafana_client": "grafana/",
    "niquests": "grafana/",
    "torch": ("workloads/", "runner/torchrun.py"),
    "sklearn": "workloads/",
}
PURE_ROOMS = {"core", "scheduler", "anomalies", "energy"}
NOT_IN_PURE_ROOMS = {"time", "random", "os", "subprocess", "socket", "threading", "asyncio", "logging"}

#: These run where nothing of ours, or nothing but Python, may be loaded: beside jobs, and as root.
STDLIB_ONLY = (
    "job.py", "runner/shim.py", "runner/shim_child.py", "runner/shim_ending.py", "runner/shim_log.py",
    "runner/shim_memory.py", "runner/shim_processes.py", "runner/terminal.py", "runner/terminal_start.py",
    "runner/forkserver.py", "telemetry/sensors.py",
)  # fmt: skip


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def place_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def modules_named_by(node: ast.AST, place: str) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{place}:{node.lineno}: use absolute imports"
        assert node.module is not None
        if node.module == "dcdaemon":
            return {f"dcdaemon.{alias.name}" for alias in node.names}
        return {node.module}
    return set()


def imported_modules(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return set().union(*(modules_named_by(node, place_of(path)) for node in ast.walk(tree)))


def statements_run_on_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            continue
        yield statement
        for part in ("body", "orelse", "finalbody"):
            yield from statements_run_on_import(getattr(statement, part, []))


def rooms_among(modules: set[str]) -> set[str]:
    return {module.split(".")[1] for module in modules if module.startswith("dcdaemon.")} & set(MAY_IMPORT)


def room_of(path: Path) -> str | None:
    first = path.relative_to(PACKAGE).parts[0]
    return None if first.endswith(".py") else first


def test_every_import_follows_the_floor_plan():
    trespasses = [
        f"{place_of(path)} imports {other}"
        for path in sources()
        if (room := room_of(path)) is not None
        for other in sorted(rooms_among(imported_modules(path)) - MAY_IMPORT[room] - {room})
    ]
    assert not trespasses, "\n".join(trespasses)


def test_every_library_stays_in_its_home():
    trespasses = []
    for path in sources():
        place = place_of(path)
        used = {module.split(".")[0] for module in imported_modules(path)}
        strays = {name for name in used & set(HOME_OF) if not place.startswith(HOME_OF[name])}
        if room_of(path) in PURE_ROOMS:
            strays |= used & NOT_IN_PURE_ROOMS
        trespasses += [f"{place} imports {name}" for name in sorted(strays)]
    assert not trespasses, "\n".join(trespasses)


def test_the_commands_load_the_heavy_rooms_only_inside_functions():
    trespasses = []
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        run_on_import = statements_run_on_import(ast.parse(path.read_text()).body)
        modules: set[str] = set().union(*(modules_named_by(node, place_of(path)) for node in run_on_import))
        trespasses += [
            f"{place_of(path)} imports {room} at import time"
            for room in sorted(rooms_among(modules) & ONLY_INSIDE_FUNCTIONS_OF_CLI)
        ]
    assert not trespasses, "\n".join(trespasses)


def test_what_runs_beside_a_job_needs_nothing_but_python():
    allowed = set(sys.stdlib_module_names)
    # They may load each other: by file name at run time, by the name in the package where types are checked.
    each_other = {Path(place).stem for place in STDLIB_ONLY}
    each_other |= {f"dcdaemon.{Path(place).with_suffix('').as_posix().replace('/', '.')}" for place in STDLIB_ONLY}
    trespasses = [
        f"{place} imports {module}"
        for place in STDLIB_ONLY
        for module in sorted(imported_modules(PACKAGE / place) - each_other)
        if module.split(".")[0] not in allowed
    ]
    assert not trespasses, "\n".join(trespasses)


def test_only_workloads_speak_to_the_daemon_as_a_job_does():
    users = {room_of(path) for path in sources() if "dcdaemon.job" in imported_modules(path)}
    assert users <= {"workloads"}


def test_the_floor_plan_has_no_staircase_loops():
    seen: dict[str, set[str]] = {}

    def below(room: str, trail: tuple[str, ...] = ()) -> set[str]:
        assert room not in trail, " -> ".join((*trail, room))
        if room not in seen:
            seen[room] = set().union(*({other} | below(other, (*trail, room)) for other in MAY_IMPORT[room]))
        return seen[room]

    for room in MAY_IMPORT:
        below(room)


def test_every_room_is_on_the_plan_and_on_its_page():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= set(MAY_IMPORT)
    page = FLOOR_PLAN_PAGE.read_text()
    lines = [f"| `{room}` | {', '.join(sorted(MAY_IMPORT[room])) or 'nothing of ours'} |" for room in sorted(rooms)]
    assert [line for line in lines if line not in page] == []
