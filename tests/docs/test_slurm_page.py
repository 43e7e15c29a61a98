"""docs/slurm.md names every option of sbatch, every state and every reason, with what the code makes of them."""

import re
from pathlib import Path

import pytest

from dcdaemon.cli.sbatch.options import OPTIONS, SHORT
from dcdaemon.cli.show.slurm_words import ENDINGS, LIMITS, REASONS, STATES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "slurm.md").read_text()
IGNORED = PAGE.partition("Ignored, and named:")[2].partition("Refused:")[0]
REFUSED = PAGE.partition("Refused:")[2].partition("## ")[0]
UNDERSTOOD = PAGE.partition("## Options")[2].partition("Ignored, and named:")[0]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_stands_in_the_table_of_its_class(name):
    option = OPTIONS[name]
    tables = {"ignored": IGNORED, "refused": REFUSED, "understood": UNDERSTOOD}
    own = "ignored" if option.ignored else "refused" if option.refused else "understood"
    # The first column only: a hint may name an option of another class.
    named = {table for table, text in tables.items() if re.search(rf"`--{name}\b(?!-)", _first_column(text))}
    assert named == {own}


def _first_column(text: str) -> str:
    return "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))


def test_short_forms_on_the_page_are_those_that_are_read():
    for letter, name in re.findall(r"`-(\w)`,? `--([\w-]+)`", PAGE):
        assert SHORT[letter] == name


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_row(state):
    code, word = STATES[state]
    assert any(state in row and f"| {code} | {word} |" in row for row in PAGE.splitlines())


@pytest.mark.parametrize("code", REASONS)
def test_every_reason_has_its_row(code):
    rows = [row for row in PAGE.splitlines() if re.match(rf"\|.*\b{code}\b.*\|", row)]
    assert any(REASONS[code] in row for row in rows)


def test_every_other_word_of_slurm_is_told():
    assert all(word in PAGE for word in (*LIMITS.values(), *ENDINGS.values()))
