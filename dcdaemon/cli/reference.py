"""Write docs/commands.md from the commands: `python -m dcdaemon.cli.reference > docs/commands.md`."""

import inspect
import sys
from collections.abc import Iterator

import click

from dcdaemon.cli.catalog import ALIASES
from dcdaemon.cli.chapters import chapters
from dcdaemon.cli.options import Verb

_HEAD = """\
# Commands

`dcd` and `dcdaemon` are the same program. This page is written by `python -m dcdaemon.cli.reference`.

A job is selected by `SEL`: an id (`42`), a range (`3-7`), `last` or `@` (your newest), `@~1` (the one
before), `all` (your unfinished ones), `120_3`, `120_[0-3,7]` or `120_*` (jobs of the array 120; quote these,
they mean something to the shell), or `--name NAME`. What jobs wait for may also be `name:NAME`. A duration
carries its unit: `90s`, `30m`, `2h30m`, `1d`, `1-12:00:00`; a bare number is refused.
Exit codes: [exit-codes.md](exit-codes.md).

Verbs that list or tell something take `-o table|wide|json|jsonl|csv|id`, `--json`, `-q`, `--columns` and
`--color`; `ps`, `gpus` and `history` also `-o slurm` ([slurm.md](slurm.md)). JSON is the document of the
HTTP API: snake_case, units in the keys, `null` for unknown. In a pipe a table is neither cut nor coloured;
a `wide` one is never cut. `NO_COLOR` and `FORCE_COLOR` are honoured. Data goes to stdout, everything else
to stderr. Every verb that talks to the daemon takes `--url` (or `DCD_URL`), `--token-file` (or
`DCD_TOKEN_FILE`) and `--ca-file` (or `DCD_CA_FILE`).
"""
_SHARED = frozenset({"url", "token_file", "ca_file", "form", "as_json", "quiet", "columns", "color"})


def page() -> str:
    """Return docs/commands.md."""
    return "\n".join([_HEAD, *_verbs(), *_aliases()]) + "\n"


def _verbs() -> Iterator[str]:
    for heading, commands in chapters():
        yield f"## {heading}\n"
        for path, command in commands:
            yield from _verb(path, command)


def _verb(path: str, command: click.Command) -> Iterator[str]:
    arguments = [argument.make_metavar(click.Context(command)) for argument in command.params if _is_argument(argument)]
    yield f"### `{' '.join([path, *arguments])}`\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    if isinstance(command, Verb):
        yield "\n".join(["```console", *(f"$ {example}" for example in command.examples), "```", ""])
    options = [option for option in command.params if isinstance(option, click.Option) and option.name not in _SHARED]
    if options:
        yield "\n".join(["| option | meaning |", "|---|---|", *(_option(option, command) for option in options), ""])


def _is_argument(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


def _option(option: click.Option, command: click.Command) -> str:
    record = option.get_help_record(click.Context(command))
    names, meaning = record or ("", "")
    return f"| `{names}` | {meaning.replace('|', chr(92) + '|')} |"


def _aliases() -> Iterator[str]:
    yield "## Other names\n"
    yield ", ".join(f"`{alias}` = `{verb}`" for alias, verb in ALIASES.items()) + "."


if __name__ == "__main__":
    sys.stdout.write(page())
