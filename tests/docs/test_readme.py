"""The pages say what the program has, and name nothing that it has not."""

import re
from pathlib import Path

import click
import pytest

from dcdaemon.anomalies.rules import RULES
from dcdaemon.cli import failure
from dcdaemon.cli.catalog import ALIASES, VERBS
from dcdaemon.cli.main import dcd
from dcdaemon.core.errors import DcdError
from dcdaemon.core.job import JobState
from dcdaemon.core.reasons import ReasonCode

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PAGES = [
    *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "contributing").glob("*.md")), ROOT / "README.md",
    ROOT / "CHANGELOG.md", ROOT / "systemd" / "README.md", ROOT / "dashboards" / "README.md",
]  # fmt: skip
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
#: A command line in a code span, in a console block or behind another command; prose is left alone.
COMMAND = re.compile(r"(?:`|^\$ |&& |· |sudo )dcd ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_readme_is_short_and_shows_something_early():
    lines = README.splitlines()
    assert len(lines) <= 140
    assert lines[0].startswith("# dcdaemon: ")
    assert re.match(r"!\[.+\]\(docs/images/\w+\.svg\)", lines[2])


def test_the_readme_names_both_commands_and_the_makefile_has_them():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"$ make {target}\n" in README
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page):
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert broken == []


def test_every_page_is_in_the_index():
    linked = {(DOCS / link).resolve() for link in LINK.findall((DOCS / "README.md").read_text())}
    pages = {page for page in DOCS.rglob("*.md") if page.name not in ("README.md", "000-template.md")}
    assert sorted(map(name, pages - linked)) == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_names_exists(page):
    unknown = []
    for verb, second in COMMAND.findall(page.read_text()):
        command = dcd.get_command(click.Context(dcd), verb)
        under = getattr(command, "commands", None)
        if command is None or (under and second and second not in under):
            unknown.append(f"dcd {verb} {second}".strip())
    assert unknown == []


def test_the_search_for_commands_finds_some():
    assert {verb for verb, _ in COMMAND.findall(README)} >= {"daemon", "submit", "ps", "why", "wait", "logs", "energy"}


@pytest.mark.parametrize("path", sorted((DOCS / "images").glob("*.svg")), ids=name)
def test_a_picture_loads_nothing_and_is_shown(path):
    picture = path.read_text()
    assert re.findall(r"(?:href|url)\W+https?:", picture) == []
    assert f"docs/images/{path.name}" in README


def documented(word: str, page: str) -> bool:
    return f"`{word}`" in (DOCS / page).read_text()


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_anomaly_rule_is_documented(rule):
    assert documented(rule, "anomalies.md")


@pytest.mark.parametrize("code", [*ReasonCode])
def test_every_reason_is_documented(code):
    assert documented(code, "scheduler.md")


@pytest.mark.parametrize("state", [*JobState])
def test_every_job_state_is_documented(state):
    assert documented(state, "job-lifecycle.md")


@pytest.mark.parametrize("verb", [*VERBS])
def test_every_verb_is_documented(verb):
    assert re.search(rf"^### `dcd {verb}\b", (DOCS / "commands.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("other", [*ALIASES])
def test_every_other_name_of_a_verb_is_documented(other):
    assert f"`{other}` = `{ALIASES[other]}`" in (DOCS / "commands.md").read_text()


def errors(of: type[DcdError] = DcdError) -> set[type[DcdError]]:
    return {of}.union(*(errors(sub) for sub in of.__subclasses__()))


def test_every_exit_code_is_documented():
    codes = {error.exit_code for error in errors()} | {
        0, failure.INTERRUPTED, failure.TIMED_OUT, failure.BEFORE_START, failure.PIPE_CLOSED,
    }  # fmt: skip
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", (DOCS / "exit-codes.md").read_text(), re.MULTILINE)}
    assert told == codes


def test_every_error_code_is_documented():
    assert [error.code for error in errors() if not documented(error.code, "exit-codes.md")] == []
