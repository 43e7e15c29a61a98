"""`dcd service`, the man page and the completion scripts, each tried with the programs that will read them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lack import program

from dcdaemon.admin import service
from dcdaemon.admin.layout import Texts
from dcdaemon.admin.manifest import Manifest
from dcdaemon.cli.catalog import VERBS
from dcdaemon.cli.completion import SHELLS, scripts
from dcdaemon.cli.man import _text, man_page
from dcdaemon.cli.verbs import service as verbs


def run(*command: str, text: str = "", **env: str) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANPAGER": "cat", **env},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_the_man_page_is_read_by_groff_without_a_warning():
    run(program("groff", "groff-base"), "-man", "-Tutf8", "-ww", "-z", text=man_page())


def test_the_man_page_is_rendered_with_every_verb_and_found_by_its_name(tmp_path):
    page = tmp_path / "dcd.1"
    page.write_text(man_page())
    shown = run(program("man", "man-db"), "-l", str(page), MANWIDTH="100", HOME=str(tmp_path))
    assert "dcd - queue jobs on GPUs" in shown
    assert [verb for verb in VERBS if f"dcd {verb}" not in shown] == []
    assert "sudo dcd service install --dry-run" in shown
    assert "'" in shown
    assert "dcd - queue jobs on GPUs" in run(program("lexgrog", "man-db"), str(page))


def test_a_line_that_begins_like_a_command_of_roff_is_only_text():
    shown = run(
        program("groff", "groff-base"), "-man", "-Tascii", "-ww", text=f".TH X 1\n.SH N\n{_text(f'.x a{chr(92)}b')}\n"
    )
    assert ".x a\\b" in shown


def test_the_script_of_bash_loads_and_completes_a_verb_and_an_option(tmp_path):
    place = tmp_path / "dcd.bash"
    place.write_text(scripts()["bash"])
    run(program("bash"), "-n", str(place))
    dcd = tmp_path / "bin" / "dcd"
    dcd.parent.mkdir()
    dcd.write_text(f'#!/bin/sh\nexec {sys.executable} -m dcdaemon "$@"\n')
    dcd.chmod(0o755)
    script = f"""
        source {place}
        complete -p dcd > /dev/null || exit 1
        ask() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _dcd_completion dcd; echo "${{COMPREPLY[*]}}"
        }}
        ask dcd serv
        ask dcd service ""
        ask dcd service install --dry
    """
    path = f"{dcd.parent}:{os.environ['PATH']}"
    said = run(program("bash"), "-c", script, PATH=path, PYTHONPATH=str(Path(__file__).parents[3]))
    assert said.splitlines() == ["service", "install remove", "--dry-run"]


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell != "bash"])
def test_the_scripts_of_other_shells_load_where_the_shell_is(tmp_path, shell):
    if shutil.which(shell) is None:
        assert "dcd" in scripts()[shell]
        return
    place = tmp_path / f"dcd.{shell}"
    place.write_text(scripts()[shell])
    run(program(shell), "-n", str(place))


def test_without_systemd_the_verb_says_what_to_do_instead(dcd, monkeypatch, tmp_path):
    monkeypatch.setattr(service, "RUNNING", tmp_path / "none")
    monkeypatch.setattr(service.os, "geteuid", lambda: 0)
    said = dcd("service", "install")
    assert said.code == 5
    assert "systemd does not run this machine" in said.err
    assert "hint: start the daemon by other means: dcd daemon run" in said.err


@pytest.fixture
def asked(monkeypatch):
    """Note what the verbs ask for, in place of doing it."""
    noted: dict[str, object] = {}

    def install(wish):
        noted.update(user=wish.user, dry_run=wish.dry_run, texts=wish.texts)
        wish.say("a step")
        return noted.get("changes", 0)

    def remove(wish, **how):
        noted.update(user=wish.user, dry_run=wish.dry_run, **how)
        return 1

    monkeypatch.setattr(service, "install_service", install)
    monkeypatch.setattr(service, "remove_service", remove)
    return noted


def test_an_install_brings_completion_and_man_page_and_says_when_nothing_changed(dcd, asked):
    said = dcd("service", "install", "--user", "--dry-run")
    assert (asked["user"], asked["dry_run"]) == (True, True)
    texts = asked["texts"]
    assert isinstance(texts, Texts)
    assert (set(texts.completions), texts.man[:4]) == (set(SHELLS), ".TH ")
    assert said.out.splitlines() == ["a step", "nothing to change: everything is as it should be"]
    asked["changes"] = 3
    assert dcd("service", "install").out.splitlines() == ["a step"]


def test_a_removal_tells_how_many_jobs_the_daemon_runs_and_asks_before_a_purge(daemon, dcd, asked, monkeypatch):
    monkeypatch.setattr(verbs, "_running", lambda: 4)
    dcd("service", "remove", "--force")
    assert (asked["running"], asked["force"], asked["purge"]) == (4, True, False)
    asked.clear()
    said = dcd("service", "remove", "--purge")
    assert (said.code, asked) == (5, {})
    assert "add -y" in said.err
    dcd("service", "remove", "--purge", "-y")
    assert asked["purge"] is True


def test_the_number_of_running_jobs_is_the_daemons_own(daemon):
    assert verbs._running() == daemon.routes["GET /v1/status"]["queue"]["running"]


def test_the_record_of_an_installation_says_its_version():
    assert '"version": "1.0"' in Manifest(version="1.0").text()
