"""Find the `#SBATCH` lines of a script and split them into words, as sbatch does."""

import re
import shlex
from dataclasses import dataclass

from dcdaemon.core.errors import BadInput

DIRECTIVE = "#SBATCH"
#: What was probably meant as a directive; two # are how people switch one off, and mean it.
_NEAR = re.compile(r"\s*#\s*SBATCH(?!\w)", re.IGNORECASE)
_WELL_BEGUN = re.compile(rf"{DIRECTIVE}(?=[\s-]|$)")
_HETEROGENEOUS = ("hetjob", "packjob", ":")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the lines, and where it stands."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Directives:
    """All words in order, and what looks like a directive but is none, for sbatch either."""

    words: tuple[Word, ...]
    overlooked: tuple[str, ...]


def read_directives(text: str, source: str) -> Directives:
    """Return the directives of a script; raise BadInput for a script that sbatch would not take."""
    _check(text, source)
    words: list[Word] = []
    overlooked = []
    over = False
    for number, line in enumerate(text.split("\n"), start=1):
        over = over or (bool(line.strip()) and not line.lstrip().startswith("#"))
        if _WELL_BEGUN.match(line) and not over:
            words += _words(line.removeprefix(DIRECTIVE), number, source)
        elif _NEAR.match(line):
            overlooked.append(_overlooked(line, number, over=over))
    return Directives(tuple(words), tuple(overlooked))


def _overlooked(line: str, number: int, *, over: bool) -> str:
    if over:
        why = "it stands after the first command"
    elif line.startswith(DIRECTIVE):
        return f"line {number} is not read: write a blank behind {DIRECTIVE}"
    elif line.lstrip().startswith(DIRECTIVE):
        why = "it does not begin its line"
    else:
        why = f"write it {DIRECTIVE}"
    return f"line {number} is a comment, to sbatch too: {why}"


def _check(text: str, source: str) -> None:
    if not text.startswith("#!"):
        raise BadInput(f"{source} is no batch script: its first line is not #! and an interpreter", "write #!/bin/bash")
    if "\0" in text:
        raise BadInput(f"{source} holds a NUL byte", "give the script itself, not a program")
    if "\r\n" in text:
        raise BadInput(f"{source} has DOS line ends (\\r\\n)", f"turn them into Unix ones: sed -i 's/\\r$//' {source}")


def _words(rest: str, number: int, source: str) -> list[Word]:
    words = [Word(number, word) for word in _split(rest, number, source)]
    if any(word.text in _HETEROGENEOUS for word in words):
        raise BadInput(
            f"{source}, line {number}: a job of several different parts (hetjob) is not understood",
            "submit each part as a job of its own",
        )
    return words


def _split(rest: str, number: int, source: str) -> list[str]:
    """Split at blanks; quotes of both kinds group, a backslash escapes, a bare # ends the line, even within a word."""
    lexer = shlex.shlex(rest, posix=True)
    lexer.whitespace_split = True
    lexer.escapedquotes = "\"'"
    try:
        return list(lexer)
    except ValueError as error:
        why = str(error)[:1].lower() + str(error)[1:]
        raise BadInput(f"{source}, line {number}: {why}", "close quotes on the line where they begin") from error
