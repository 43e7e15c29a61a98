"""Configuration verbs, the found daemon, help, and the generated page."""

import json
import tomllib
from pathlib import Path

import pytest

from dcdaemon.cli import connect
from dcdaemon.cli.catalog import VERBS
from dcdaemon.cli.main import dcd as program
from dcdaemon.cli.reference import page
from dcdaemon.core import errors

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "DCD_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def write(home, text):
    path = home / "config" / "dcdaemon" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_the_configured_socket_is_used(home):
    write(home, '[daemon]\nsocket = "/somewhere/d.sock"\n')
    assert connect.usual_url() == "unix:///somewhere/d.sock"


def test_without_configuration_ones_own_daemon_goes_before_the_nodes(home, monkeypatch):
    node, own = home / "node.sock", home / "state" / "dcd.sock"
    monkeypatch.setattr(connect, "SYSTEM_SOCKET", str(node))
    monkeypatch.setenv("DCD_DAEMON__STATE_DIR", str(own.parent))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert connect.usual_url() == f"unix://{own}"
    node.touch()
    assert connect.usual_url() == f"unix://{node}"
    own.parent.mkdir()
    own.touch()
    assert connect.usual_url() == f"unix://{own}"


def test_config_show_tells_each_value_and_its_origin(home, dcd, monkeypatch):
    path = write(home, "[gpus]\npoll_interval = '2s'\n")
    rows = {row["key"]: row for row in json.loads(dcd("config", "show", "--json").out)["settings"]}
    assert rows["gpus.poll_interval"] == {"key": "gpus.poll_interval", "value": "2s", "origin": str(path)}
    assert rows["energy.currency"]["origin"] == "default"
    lines = dcd("config", "show", "--origin").out.splitlines()
    assert lines[0].split() == ["KEY", "VALUE", "ORIGIN"]
    monkeypatch.setenv("DCD_STORAGE__URL", "postgresql://dcd:hunter2@db/dcd")
    assert "hunter2" not in dcd("config", "show").out


def test_config_check_warns_about_a_typo_and_refuses_a_wrong_value(home, dcd):
    assert dcd("config", "check").code == 0
    path = write(home, "[gpus]\npol_interval = '2s'\n")
    said = dcd("config", "check")
    assert said.code == 1
    assert "gpus.pol_interval" in said.out
    path.write_text("[gpus]\npoll_interval = 2\n")
    said = dcd("config", "check")
    assert said.code == 2
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["error", "hint"]
    path.write_text("[gpus\n")
    assert dcd("ps").code == 2


def test_config_check_and_show_read_the_file_they_are_given(home, dcd, tmp_path):
    file = tmp_path / "other.toml"
    file.write_text("[jobs]\nper_user = 7\n")
    assert dcd("config", "check", "--config", str(file)).code == 0
    rows = {
        row["key"]: row for row in json.loads(dcd("config", "show", "--config", str(file), "--json").out)["settings"]
    }
    assert rows["jobs.per_user"]["value"] == 7
    file.write_text("[jobs]\nper_user = no\n")
    assert dcd("config", "check", "--config", str(file)).code == 2


def test_config_init_writes_a_file_that_can_be_read_and_never_over_another(home, dcd):
    target = home / "config" / "dcdaemon" / "config.toml"
    assert dcd("config", "init").out == f"{target}\n"
    assert set(tomllib.loads(target.read_text())) >= {"daemon", "gpus"}
    assert dcd("config", "check").code == 0
    target.write_text("# mine\n")
    assert dcd("config", "init").code == 5
    assert target.read_text() == "# mine\n"


def test_config_path_names_the_files_in_order(home, dcd):
    lines = dcd("config", "path").out.splitlines()
    assert lines[0] == "/etc/dcdaemon/dcdaemon.toml"
    assert lines[-1] == str(home / "config" / "dcdaemon" / "config.toml")


@pytest.mark.parametrize("verb", VERBS)
def test_help_starts_with_two_examples(dcd, verb):
    command = program.get_command(None, verb)
    paths = [[verb, part] for part in command.commands] if hasattr(command, "commands") else [[verb]]
    for path in paths:
        said = dcd(*path, "-h")
        lines = said.out.splitlines()
        assert said.code == 0
        assert lines[0] == "Examples:"
        assert all("dcd" in line and path[-1] in line for line in lines[1:3])
        assert "Usage:" in said.out


def test_a_group_lists_its_verbs_with_whole_sentences(dcd):
    said = dcd("service", "-h")
    assert "..." not in said.out.partition("Commands:")[2]
    assert "start the daemon and wait until it is ready." in " ".join(said.out.split())


def test_the_table_of_verbs_lists_every_module_and_no_other():
    modules = {path.stem for path in (Path(connect.__file__).parent / "verbs").glob("*.py")} - {"__init__"}
    assert modules == set(VERBS)


def test_the_page_of_commands_is_current():
    assert (DOCS / "commands.md").read_text() == page(), "run: python -m dcdaemon.cli.reference > docs/commands.md"


def test_every_error_code_and_exit_code_is_documented():
    text = (DOCS / "exit-codes.md").read_text()
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DcdError)]
    for kind in kinds:
        assert f"`{kind.code}`" in text
        assert f"\n| {kind.exit_code} |" in text
