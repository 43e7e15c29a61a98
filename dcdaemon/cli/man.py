"""The man page dcd(1), made from the commands like docs/commands.md."""

import inspect
from collections.abc import Iterator

import click

from dcdaemon import __version__
from dcdaemon.cli.catalog import ALIASES
from dcdaemon.cli.chapters import chapters
from dcdaemon.cli.main import dcd
from dcdaemon.cli.options import Verb

_FILES = (
    ("/etc/dcdaemon/dcdaemon.toml, /etc/dcdaemon/conf.d/*.toml", "Configuration of the node; see dcd config init."),
    ("~/.config/dcdaemon/config.toml", "Configuration of one user."),
    ("/etc/default/dcdaemon", "Variables of the service; root alone may read them."),
    ("/run/dcdaemon/dcd.sock", "Where the daemon answers."),
    ("/var/lib/dcdaemon", "The database, and each job's log and records."),
)
_CODES = (
    ("0", "done"), ("1", "a job or a check failed"), ("2", "wrong usage"), ("3", "the daemon does not answer"),
    ("4", "no such thing"), ("5", "refused"), ("124", "timed out"), ("130", "interrupted"),
)  # fmt: skip
#: Signs that roff would take for something else (groff_char(7)); the backslash first.
_ESCAPED = (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("^", "\\(ha"), ("~", "\\(ti"), ("`", "\\(ga"))


def man_page() -> str:
    """Return dcd(1) in the man(7) language."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH DCD 1 "" "dcdaemon {__version__}" "User Commands"'
    yield from (".SH NAME", "dcd \\- queue jobs on GPUs, and see what each one used")
    yield from (".SH SYNOPSIS", ".B dcd", ".I VERB", ".RI [ OPTION ]...")
    yield from (".SH DESCRIPTION", _text(inspect.cleandoc(dcd.help or "")))
    yield from (".PP", "The same program is called", ".BR dcdaemon .", "A job is selected by SEL: an id (42), a range")
    yield _text("(3-7), last, @~1, all, or --name NAME. A duration carries its unit: 90s, 30m, 2h30m, 1d.")
    yield from _verbs()
    yield from (".SH OTHER NAMES", _text(", ".join(f"{alias} is {verb}" for alias, verb in ALIASES.items()) + "."))
    yield ".SH EXIT STATUS"
    for code, meaning in _CODES:
        yield from _item(f"\\fB{code}\\fP", meaning)
    yield ".SH FILES"
    for path, meaning in _FILES:
        yield from _item(f"\\fI{_text(path)}\\fP", meaning)
    yield from (".SH SEE ALSO", ".BR systemctl (1),", ".BR journalctl (1),", ".BR nvidia\\-smi (1)")


def _verbs() -> Iterator[str]:
    for heading, commands in chapters():
        yield f".SH {heading.upper()}"
        for path, command in commands:
            yield from _verb(path, command)


def _verb(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    arguments = [one.make_metavar(context) for one in command.params if isinstance(one, click.Argument)]
    yield f".SS {_text(' '.join([path, *arguments]))}"
    yield _text(inspect.cleandoc(command.help or ""))
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None:
            yield from _item(f"\\fB{_text(record[0])}\\fP", record[1] or "")
    if isinstance(command, Verb) and command.examples:
        yield from (".PP", "Examples:", ".PP", ".nf", ".RS", *map(_text, command.examples), ".RE", ".fi")


def _item(term: str, meaning: str) -> Iterator[str]:
    yield from (".TP", term, _text(meaning) or "\\&")


def _text(text: str) -> str:
    """Write text so that nothing in it is a command of roff."""
    for sign, escaped in _ESCAPED:
        text = text.replace(sign, escaped)
    return "\n".join(_line(line) for line in text.splitlines())


def _line(line: str) -> str:
    return ".PP" if not line.strip() else f"\\&{line}" if line.startswith(".") else line
