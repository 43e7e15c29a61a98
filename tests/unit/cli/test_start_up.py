"""The start-up budget: `dcd ps` loads few modules, and none of the heavy ones."""

import json
import os
import subprocess
import sys

import pytest

MODULES_AT_MOST = 260
TOO_HEAVY = {
    "sqlalchemy", "alembic", "fastapi", "starlette", "uvicorn", "pydantic", "torch", "pynvml", "apscheduler", "asyncio",
    "psutil", "grafana_client",
}  # fmt: skip
# Runs the program as `python -m dcdaemon` does and prints, on stderr, what was loaded when it left.
PROBE = """
import json, runpy, sys
sys.argv = ["dcd", *sys.argv[1:]]
try:
    runpy.run_module("dcdaemon", run_name="__main__")
except SystemExit as leave:
    assert not leave.code, leave.code
sys.stderr.write("\\n" + json.dumps(sorted(sys.modules)))
"""


def loaded_modules(arguments: list[str], env: dict[str, str]) -> list[str]:
    command = [sys.executable, "-c", PROBE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert done.stdout
    return json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize("arguments", [["ps"], ["ps", "--json"], ["gpus"], ["submit", "--dry-run", "--", "true"]])
def test_commands_load_little(daemon, arguments):
    daemon.routes["POST /v1/jobs"] = {"schema": 1, "jobs": [], "accepted": 1, "starts": []}
    loaded = loaded_modules(arguments, dict(os.environ))
    assert len(loaded) <= MODULES_AT_MOST
    assert not TOO_HEAVY & {name.partition(".")[0] for name in loaded}


def test_finding_the_daemon_by_its_configuration_stays_in_the_budget(daemon, tmp_path):
    socket_path = daemon.url.removeprefix("unix://")
    (tmp_path / "dcdaemon").mkdir()
    (tmp_path / "dcdaemon" / "config.toml").write_text(f'[daemon]\nsocket = "{socket_path}"\n')
    env = {key: value for key, value in os.environ.items() if key != "DCD_URL"} | {"XDG_CONFIG_HOME": str(tmp_path)}
    loaded = loaded_modules(["ps"], env)
    assert "tomllib" in loaded
    assert len(loaded) <= MODULES_AT_MOST
    assert not TOO_HEAVY & {name.partition(".")[0] for name in loaded}


def test_machine_formats_do_not_load_rich(daemon):
    assert "rich" not in loaded_modules(["ps", "--json"], dict(os.environ))
