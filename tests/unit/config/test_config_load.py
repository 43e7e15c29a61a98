"""Where settings come from, which one wins, and what is said of wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from dcdaemon.config.load import check, load
from dcdaemon.config.model import SETTINGS, Config
from dcdaemon.config.secrets import masked
from dcdaemon.config.show import init_text, page_text, rows
from dcdaemon.config.sources import default_paths
from dcdaemon.core.errors import BadConfig

ENV = {"HOME": "/home/ada"}
PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def refused(paths=(), env=ENV, flags=None) -> BadConfig:
    with pytest.raises(BadConfig) as caught:
        load(list(paths), env, flags, uid=1000)
    return caught.value


def test_nothing_has_to_be_configured():
    loaded = load([], ENV, uid=1000)
    assert loaded.config.daemon.state_dir == "/home/ada/.local/state/dcdaemon"
    assert loaded.config.daemon.socket == "/home/ada/.local/state/dcdaemon/dcd.sock"
    assert loaded.config.storage.url == "sqlite:////home/ada/.local/state/dcdaemon/dcdaemon.db"
    assert loaded.config.node.name
    assert (loaded.config.gpus.poll_interval_s, loaded.config.storage.raw_retention_s) == (1.0, 172800.0)
    assert loaded.config.scheduler.default_limit_s is None
    assert (loaded.config.jobs.cpus, loaded.config.jobs.memory_bytes) == (None, None)
    assert (loaded.config.energy.price_per_kwh, loaded.config.energy.carbon_g_per_kwh) == (None, None)
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.warnings == ()


def test_places_of_a_root_service_and_of_a_user_with_a_runtime_dir():
    root = load([], ENV, uid=0).config
    assert (root.daemon.state_dir, root.daemon.socket) == ("/var/lib/dcdaemon", "/run/dcdaemon/dcd.sock")
    user = load([], {**ENV, "XDG_RUNTIME_DIR": "/run/user/1000", "XDG_STATE_HOME": "/state"}, uid=1000).config
    assert (user.daemon.state_dir, user.daemon.socket) == ("/state/dcdaemon", "/run/user/1000/dcdaemon.sock")


def test_the_later_place_wins_and_origins_tell_which(tmp_path):
    system = written(tmp_path / "system.toml", '[gpus]\npoll_interval = "5s"\n[jobs]\ngrace = "5s"\ncpus = 4\n')
    user = written(tmp_path / "user.toml", '[jobs]\ngrace = "6s"\n[daemon]\nlog_level = "debug"\n')
    env = {**ENV, "DCD_DAEMON__LOG_LEVEL": "warning", "DCD_GPUS__FOREIGN_OK": "Xorg, gnome-shell"}
    loaded = load([system, user], env, {"jobs.memory": "8G", "daemon.tcp": None}, uid=1000)
    assert (loaded.config.gpus.poll_interval_s, loaded.config.jobs.cpus) == (5.0, 4)
    assert loaded.config.jobs.grace_s == 6.0
    assert loaded.config.daemon.log_level == "warning"
    assert loaded.config.gpus.foreign_ok == ("Xorg", "gnome-shell")
    assert loaded.config.jobs.memory_bytes == 8 * 1024**3
    assert loaded.origins["gpus.poll_interval"] == str(system)
    assert loaded.origins["jobs.grace"] == str(user)
    assert loaded.origins["daemon.log_level"] == "DCD_DAEMON__LOG_LEVEL"
    assert loaded.origins["jobs.memory"] == "command line"
    assert loaded.origins["daemon.tcp"] == "default"
    assert loaded.paths == (system, user)


def test_units_are_read(tmp_path):
    path = written(tmp_path / "c.toml", '[jobs]\nmemory = "1.5T"\n[scheduler]\ndefault_limit = "1-12:00:00"\n')
    config = load([path], ENV, uid=1000).config
    assert config.jobs.memory_bytes == 1536 * 1024**3
    assert config.scheduler.default_limit_s == 36 * 3600.0


def test_a_home_is_filled_in():
    config = load([], ENV, {"daemon.state_dir": "~/dcd", "storage.backup_dir": "~/backup"}, uid=1000).config
    assert (config.daemon.state_dir, config.storage.backup_dir) == ("/home/ada/dcd", "/home/ada/backup")


def test_usual_files_weakest_first():
    paths = default_paths(ENV)
    assert paths[0] == Path("/etc/dcdaemon/dcdaemon.toml")
    assert paths[-1] == Path("/home/ada/.config/dcdaemon/config.toml")
    assert default_paths({"XDG_CONFIG_HOME": "/xdg"})[-1] == Path("/xdg/dcdaemon/config.toml")


def test_a_users_file_is_found_and_an_absent_one_is_no_fault(tmp_path):
    home = tmp_path / ".config" / "dcdaemon"
    assert load(None, {"HOME": str(tmp_path)}, uid=1000).config.jobs.grace_s == 30.0
    home.mkdir(parents=True)
    written(home / "config.toml", '[jobs]\ngrace = "7s"\n')
    assert load(None, {"HOME": str(tmp_path)}, uid=1000).config.jobs.grace_s == 7.0


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "[gpus]\npol_interval = '1s'",
            "unknown setting gpus.pol_interval; did you mean gpus.poll_interval?",
        ),
        ("[scheduler]\nforeign_ok = []", "unknown setting scheduler.foreign_ok; did you mean gpus.foreign_ok?"),
        ("[energie]\ncurrency = 'EUR'", "unknown setting energie.currency; did you mean energy.currency?"),
        ("xyzzy = 1", "unknown setting xyzzy"),
    ],
)
def test_an_unknown_key_warns_at_loading_and_fails_the_check(tmp_path, text, warning):
    path = written(tmp_path / "c.toml", text)
    assert load([path], ENV, uid=1000).warnings == (f"{path}: {warning}",)
    with pytest.raises(BadConfig, match="unknown setting"):
        check([path], ENV, uid=1000)


def test_an_unknown_variable_warns_and_foreign_ones_are_left_alone():
    env = {**ENV, "DCD_JOBS__GRASE": "1s", "DCD_GPU_UUIDS": "x", "DCD_JOB": "7"}
    assert load([], env, uid=1000).warnings == (
        "DCD_JOBS__GRASE: unknown setting jobs.grase; did you mean jobs.grace?",
    )


def test_a_check_of_a_good_file_passes(tmp_path):
    path = written(tmp_path / "c.toml", '[jobs]\ngrace = "7s"\n')
    assert check([path], ENV, uid=1000).config.jobs.grace_s == 7.0


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (
            "[gpus]\npoll_interval = 30",
            "gpus.poll_interval = 30 is not a duration with its unit",
            "write 30m for minutes, 30s for seconds or 30h for hours",
        ),
        (
            '[gpus]\npoll_interval = "0s"',
            "gpus.poll_interval = '0s' is no time at all",
            "write a duration like 1s",
        ),
        (
            "[jobs]\ncpus = true",
            "jobs.cpus = True is not a number of 0 or more",
            "write a whole number like 8",
        ),
        (
            "[jobs]\ncpus = 1.5",
            "jobs.cpus = 1.5 is not a whole number",
            "write a whole number like 8",
        ),
        ("[gpus]\nforeign_ok = 1", "gpus.foreign_ok = 1 is not a list of names", None),
        ("[anomalies]\nidle_below = 5", "anomalies.idle_below = 5 is more than 1", None),
        ("[scheduler]\npatience = nan", "scheduler.patience = nan is not a number of 0 or more", None),
        ("[scheduler]\npatience = 1e300", "scheduler.patience = 1e+300 is more than can be meant", None),
        ("[energy]\nprice_per_kwh = -1", "energy.price_per_kwh = -1 is not a number of 0 or more", None),
        ("[energy]\nprice_per_kwh = nan", "energy.price_per_kwh = nan is not a number of 0 or more", None),
        ('[jobs]\nmemory = "lots"', "jobs.memory = 'lots' is not an amount of memory", None),
        ('[scheduler]\nbackfill = "maybe"', "scheduler.backfill = 'maybe' is neither true nor false", None),
        (
            '[daemon]\nlog_level = "loud"',
            "daemon.log_level = 'loud' is not one of info, debug, warning, error",
            None,
        ),
        ('[daemon]\ntcp = "7717"', "daemon.tcp = '7717' is not an address", None),
        ('[daemon]\ntcp = "h:99999"', "daemon.tcp = 'h:99999' is not an address", None),
        (
            '[daemon]\nstate_dir = "var"',
            "daemon.state_dir = 'var' is not an absolute path",
            "begin it with / or ~",
        ),
        ('[storage]\nbackup_at = "25:00"', "storage.backup_at = '25:00' is not a time of day", None),
        ("[node]\nname = 7", "node.name = 7 is not text", None),
        (
            "[storage]\nurl = 'mysql://a:geheim@b/c'",
            "storage.url = 'mysql://a:***@b/c' is not a database",
            None,
        ),
    ],
)
def test_a_wrong_value_names_file_key_and_value(tmp_path, line, message, hint):
    path = written(tmp_path / "c.toml", line)
    error = refused([path])
    assert error.message.startswith(f"{path}: {message}")
    assert error.hint
    assert hint is None or error.hint == hint


def test_a_wrong_variable_names_the_variable():
    error = refused(env={**ENV, "DCD_JOBS__GRACE": "30"})
    assert error.message == "DCD_JOBS__GRACE: jobs.grace = '30' is not a duration with its unit"


def test_a_corrupt_file_names_the_line(tmp_path):
    path = written(tmp_path / "c.toml", '[gpus]\npoll_interval = "1s"\nsimulate = \n')
    error = refused([path])
    assert error.message.startswith(f"{path} is not valid TOML: ")
    assert "line 3" in error.message


def test_a_file_that_cannot_be_read(tmp_path):
    assert refused([tmp_path / "none.toml"]).message == (
        f"{tmp_path}/none.toml cannot be read: No such file or directory"
    )
    assert refused([tmp_path]).message == f"{tmp_path} cannot be read: Is a directory"
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert refused([binary]).message == f"{binary} is not text in UTF-8 (byte 0)"


def test_a_section_must_be_a_section(tmp_path):
    path = written(tmp_path / "c.toml", "gpus = 8\n")
    assert refused([path]).message == f"{path}: gpus = 8 is not a section"


def test_a_socket_path_the_kernel_cannot_take_is_refused():
    error = refused(flags={"daemon.socket": "/" + "x" * 107})
    assert "longer than the kernel's 107 bytes" in error.message


def test_passwords_are_not_shown():
    url = "postgresql://dcd:gehe:im@db/dcd?sslmode=require&password=geheim"
    loaded = load([], ENV, {"storage.url": url}, uid=1000)
    shown = {row.name: row.value for row in rows(loaded)}
    assert shown["storage.url"] == "postgresql://dcd:***@db/dcd?sslmode=require&password=***"
    assert loaded.config.storage.url == url
    assert masked("sqlite:////var/lib/dcdaemon.db") == "sqlite:////var/lib/dcdaemon.db"


def test_rows_show_values_as_written_with_their_origin():
    loaded = load([], {**ENV, "DCD_JOBS__GRACE": "90s"}, uid=1000)
    shown = {row.name: (row.value, row.origin) for row in rows(loaded)}
    assert shown.keys() == SETTINGS.keys()
    assert shown["jobs.grace"] == ("90s", "DCD_JOBS__GRACE")
    assert shown["storage.raw_retention"] == ("48h", "default")
    assert shown["daemon.state_dir"] == ("/home/ada/.local/state/dcdaemon", "default")


def test_the_initial_file_changes_nothing_and_every_line_of_it_is_valid(tmp_path):
    commented = written(tmp_path / "commented.toml", init_text())
    bare = load([], ENV, uid=1000)
    assert check([commented], ENV, uid=1000).config == bare.config
    live_lines = [
        line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in init_text().splitlines()
    ]
    live = check([written(tmp_path / "live.toml", "\n".join(live_lines))], ENV, uid=1000)
    assert live.config == bare.config
    assert set(live.origins.values()) == {str(tmp_path / "live.toml")}


def test_the_reference_page_is_current():
    assert PAGE.read_text() == page_text(), "write docs/configuration.md anew: dcdaemon.config.show.page_text()"


def test_a_default_tree_can_be_made_without_loading():
    assert Config().anomalies.idle_after_s == 600.0


def test_importing_the_configuration_pulls_in_nothing_heavy():
    code = (
        "import sys, dcdaemon.config.load; "
        "heavy = ('tomllib', 'difflib', 'socket', 'asyncio', 'pydantic', 'sqlalchemy'); "
        "print([module for module in heavy if module in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output == "[]\n"
