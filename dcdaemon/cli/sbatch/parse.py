"""Turn the words of the directives into named options, the way getopt reads them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dcdaemon.cli.catalog import did_you_mean
from dcdaemon.cli.sbatch.lines import Word
from dcdaemon.cli.sbatch.options import ALIASES, OPTIONS, SHORT, Takes
from dcdaemon.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Given:
    """One option as it was written: its long name, its value (None = none), and its line."""

    name: str
    value: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Sorted:
    """The options to carry out, the last of each; and what is said about the ignored ones."""

    wanted: dict[str, Given]
    ignored: tuple[str, ...]


def sort_options(words: Sequence[Word], source: str) -> Sorted:
    """Sort options into wanted and ignored ones; raise BadInput for one that is unknown or refused."""
    wanted: dict[str, Given] = {}
    ignored: dict[str, str] = {}
    for given in parse(words, source):
        option = OPTIONS[given.name]
        if option.refused:
            raise BadInput(f"{source}, line {given.line}: --{given.name} cannot be met here", option.refused)
        if option.ignored:
            ignored[given.name] = f"--{given.name} is ignored: {option.ignored}"
        else:
            wanted.pop(given.name, None)  # the last one counts, and stands last
            wanted[given.name] = given
    return Sorted(wanted, tuple(ignored.values()))


def parse(words: Sequence[Word], source: str) -> Iterator[Given]:
    """Yield each option with its value; raise BadInput for what sbatch would not take either."""
    rest = iter(words)
    for word in rest:
        if word.text.startswith("--"):
            yield _long(word, rest, source)
        elif word.text.startswith("-") and word.text != "-":
            yield from _short(word, rest, source)
        else:
            where = f"{source}, line {word.line}"
            raise BadInput(f"{where}: {word.text!r} is no option", "write it like --time=2:00:00 or -t 2:00:00")


def _long(word: Word, rest: Iterator[Word], source: str) -> Given:
    written, equals, value = word.text.removeprefix("--").partition("=")
    name = _full_name(written, word, source)
    takes = OPTIONS[name].takes
    if equals and takes is Takes.NOTHING:
        raise BadInput(f"{source}, line {word.line}: --{name} takes no value", f"write --{name} alone")
    if equals or takes is not Takes.VALUE:
        return Given(name, value if equals else None, word.line)
    return Given(name, _next_value(f"--{name}", word, rest, source), word.line)


def _full_name(written: str, word: Word, source: str) -> str:
    """Return the long name that is meant: whole, of before, or cut short where only one begins so."""
    known = {**dict.fromkeys(OPTIONS), **ALIASES}
    fitting = [written] if written in known else [name for name in known if written and name.startswith(written)]
    if len(fitting) == 1:
        return ALIASES.get(fitting[0], fitting[0])
    where = f"{source}, line {word.line}"
    if fitting:
        raise BadInput(f"{where}: --{written} may mean --{' or --'.join(fitting)}", "write the option in full")
    near = did_you_mean(written, list(OPTIONS)).lstrip("; ")
    raise BadInput(f"{where}: sbatch has no option --{written}", near or "see docs/slurm.md for those it has")


def _short(word: Word, rest: Iterator[Word], source: str) -> Iterator[Given]:
    letters = word.text.removeprefix("-")
    while letters:
        letter, letters = letters[0], letters[1:]
        name = SHORT.get(letter)
        if name is None:
            raise BadInput(f"{source}, line {word.line}: sbatch has no option -{letter}", "see docs/slurm.md")
        if OPTIONS[name].takes is not Takes.VALUE:
            yield Given(name, None, word.line)
            continue
        if letters.startswith("="):
            raise BadInput(
                f"{source}, line {word.line}: the value of -{letter} would begin with '='",
                f"write -{letter} {letters[1:]} or --{name}{letters}",
            )
        yield Given(name, letters or _next_value(f"-{letter}", word, rest, source), word.line)
        return


def _next_value(option: str, word: Word, rest: Iterator[Word], source: str) -> str:
    following = next(rest, None)
    if following is None:
        raise BadInput(f"{source}, line {word.line}: {option} has no value", f"write it like {option} VALUE")
    return following.text
