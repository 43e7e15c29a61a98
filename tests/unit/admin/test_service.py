"""Whether a service may be installed here, and what the configuration and the package say about it."""

import tomllib
from functools import partial
from pathlib import Path

import pytest

from dcdaemon.admin import service
from dcdaemon.admin.layout import BMC, SENSORS, Texts, user_layout
from dcdaemon.admin.service import Wish, _variables, install_service, remove_service
from dcdaemon.admin.shipped import shipped, unit_text
from dcdaemon.core.errors import BadConfig, NotFound, Refused

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr(service.os, "geteuid", lambda: 0)


@pytest.fixture
def image(tmp_path):
    root = tmp_path / "image"
    (root / "etc/dcdaemon/conf.d").mkdir(parents=True)
    return root


def wish(lines, image=None, **how):
    return Wish(Texts(), lines.append, root=image, **how)


def test_without_systemd_there_is_nothing_to_install_into(as_root, monkeypatch, tmp_path):
    monkeypatch.setattr(service, "RUNNING", tmp_path / "none")
    with pytest.raises(Refused, match="systemd does not run this machine"):
        install_service(wish([]))
    with pytest.raises(Refused, match="systemd does not run this machine"):
        remove_service(wish([]), running=0, force=False, purge=False)


def test_a_person_whose_manager_does_not_answer_is_told_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(service, "RUNNING", tmp_path)
    monkeypatch.setattr(service.os, "geteuid", lambda: 1)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho Failed to connect to bus >&2; exit 1\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for verb in (install_service, partial(remove_service, running=0, force=False, purge=False)):
        with pytest.raises(Refused, match="your own service manager does not answer") as caught:
            verb(wish([], user=True))
        assert "loginctl enable-linger daemon" in caught.value.hint
    assert not (tmp_path / "home").exists()


def test_only_root_installs_the_nodes_service_and_only_a_person_his_own(monkeypatch):
    monkeypatch.setattr(service.os, "geteuid", lambda: 1000)
    with pytest.raises(Refused, match="only root") as refusal:
        install_service(wish([]))
    assert "--user" in str(refusal.value.hint)
    monkeypatch.setattr(service.os, "geteuid", lambda: 0)
    with pytest.raises(Refused, match="--user is for a person"):
        install_service(wish([], user=True))


def test_an_environment_that_users_may_change_is_refused_before_anything_is_written(as_root, image):
    with pytest.raises(Refused, match="cannot run"):
        # Nobody at all is trusted: whoever owns the interpreter may change it.
        install_service(wish([], image, trusted=frozenset({12345})))
    assert not (image / "etc/systemd").exists()


def test_a_configuration_that_the_daemon_would_not_take_is_refused_before_anything_is_written(as_root, image, fit):
    (image / "etc/dcdaemon/conf.d/50-wrong.toml").write_text("[jobs]\nper_user = -1\n")
    with pytest.raises(BadConfig, match=r"jobs.per_user"):
        install_service(wish([], image))
    assert not (image / "etc/systemd").exists()


@pytest.fixture
def fit(monkeypatch):
    """Leave the environment of the tests, wherever that is, alone: it has tests of its own."""
    monkeypatch.setattr(service, "refuse_unfit", lambda *_: None)


def test_an_image_is_installed_into_with_systemds_own_programs_and_nothing_is_started(as_root, image, fit):
    """The real systemctl, systemd-sysusers and systemd-tmpfiles, on files alone."""
    (image / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (image / "etc/group").write_text("root:x:0:\n")
    lines: list[str] = []
    assert install_service(wish(lines, image)) > 0
    wants = image / "etc/systemd/system/multi-user.target.wants/dcdaemon.service"
    assert str(wants.readlink()) == "/etc/systemd/system/dcdaemon.service"
    assert "\ndcdaemon:x:" in (image / "etc/passwd").read_text()
    assert (image / "run/dcdaemon").stat().st_mode & 0o777 == 0o755
    assert [line for line in lines if line.startswith(("start", "restart", "let"))] == []
    assert install_service(wish([], image)) == 0
    remove_service(wish([], image), running=0, force=False, purge=False)
    assert not wants.is_symlink()
    assert list(image.rglob("*.service")) == []


def test_timers_are_enabled_where_they_have_something_to_read(as_root, image, fit):
    programs = image / "usr/sbin"
    programs.mkdir(parents=True)
    for name in ("smartctl", "ipmitool"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    lines: list[str] = []
    install_service(wish(lines, image, dry_run=True))
    assert f"would enable {SENSORS}" in lines
    assert f"would enable {BMC}" not in lines
    (image / "etc/dcdaemon/dcdaemon.toml").write_text('[node]\nroles = ["compute", "management"]\n')
    install_service(wish(lines, image, dry_run=True))
    assert f"would enable {BMC}" in lines


def test_the_services_own_variables_are_read_as_systemd_reads_them(image):
    (image / "etc/default").mkdir()
    text = '# a comment\n; another\n\nDCD_JOBS__PER_USER="3"\nDCD_DAEMON__STATE_DIR = /data/x\nnonsense\n'
    (image / "etc/default/dcdaemon").write_text(text)
    assert _variables(image) == {"DCD_JOBS__PER_USER": "3", "DCD_DAEMON__STATE_DIR": "/data/x"}
    assert _variables(image / "nowhere") == {}


def test_a_user_gets_his_files_below_his_home_or_where_he_keeps_them():
    mine = user_layout(
        Path("/home/ada/.local/share/pipx/dcdaemon/bin"), Texts({"fish": "x"}, "y"), {"HOME": "/home/ada"}
    )
    assert [str(piece.path.relative_to("/home/ada")) for piece in mine.pieces] == [
        ".config/systemd/user/dcdaemon.service", ".config/systemd/user/dcdaemon.slice",
        ".config/systemd/user/dcdaemon-jobs.slice", ".local/bin/dcd", ".local/bin/dcdaemon",
        ".local/share/fish/vendor_completions.d/dcd.fish", ".local/share/man/man1/dcd.1",
    ]  # fmt: skip
    assert "ExecStart=/home/ada/.local/share/pipx/dcdaemon/bin/dcd daemon run\n" in mine.pieces[0].text
    elsewhere = {"HOME": "/home/ada", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d", "XDG_STATE_HOME": "/s"}
    layout = user_layout(Path("/home/ada/.local/bin"), Texts(man="y"), elsewhere)
    assert [str(piece.path) for piece in layout.pieces][2:] == [
        "/c/systemd/user/dcdaemon-jobs.slice",
        "/d/man/man1/dcd.1",
    ]
    assert [*map(str, (layout.manifest, *layout.data))] == ["/s/dcdaemon/installed.json", "/s/dcdaemon", "/c/dcdaemon"]


def test_a_program_in_a_folder_with_an_odd_name_is_named_so_that_systemd_understands():
    assert 'ExecStart="/opt/my 100%%/bin/dcd" daemon run\n' in unit_text("dcdaemon.service", Path("/opt/my 100%/bin"))


def test_a_package_carries_the_files_of_the_checkout_and_there_is_one_copy():
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert build["force-include"] == {"systemd": "dcdaemon/admin/units"}
    assert not (REPOSITORY / "dcdaemon/admin/units").exists()
    assert shipped("dcdaemon.service") == (REPOSITORY / "systemd/dcdaemon.service").read_text()
    with pytest.raises(NotFound, match="did not come with this program"):
        shipped("nothing.service")
