"""What many verbs share: the command class with its examples, and the options for output and connection."""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from dcdaemon.cli.connect import connect
from dcdaemon.cli.show.output import FORMATS, SLURM, Output
from dcdaemon.core.errors import Refused
from dcdaemon.core.units import parse_bytes, parse_duration

_SHOWN = 30
_SENTENCE = 200
Callback = Callable[..., int | None]
Decorator = Callable[[Callback], Callback]


class Verb(click.Command):
    """A command whose help starts with examples."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        """Take Click's own arguments, and the examples."""
        super().__init__(*args, **kwargs)
        self.examples = examples

    def get_short_help_str(self, limit: int = _SENTENCE) -> str:
        """Return the first sentence whole, for the list of its group: the formatter breaks lines."""
        return super().get_short_help_str(max(limit, _SENTENCE))

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples first: most readers need no more."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")
        formatter.write_paragraph()
        super().format_help(ctx, formatter)


def verb(
    name: str, *examples: str, cls: type[Verb] = Verb, context: Mapping[str, object] | None = None
) -> Callable[[Callable[..., int | None]], Verb]:
    """Make a function the command `name`; its docstring is the help, `context` adds to Click's settings."""
    settings = {"help_option_names": ["-h", "--help"], **(context or {})}
    return click.command(name, cls=cls, examples=examples, context_settings=settings)


class Duration(click.ParamType[float]):
    """Seconds, written with a unit; raises BadInput with its own hint for a bare number."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ARG002
        """Return seconds."""
        return value if isinstance(value, float) else parse_duration(value)


class Count(click.IntRange):
    """A whole number in a range; what is no such number is told so, in words."""

    def __init__(self, least: int = 0, most: int = 1_000_000) -> None:
        """Take the smallest and the largest that is meant."""
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            shown = repr(value if len(str(value)) <= _SHOWN else f"{str(value)[:_SHOWN]}...")
            self.fail(f"{shown} is not a whole number from {self.min} to {self.max}", param, ctx)


class Memory(click.ParamType[int]):
    """Bytes, written like 32G."""

    name = "memory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002
        """Return bytes."""
        return value if isinstance(value, int) else parse_bytes(value)


class BeginTime(click.ParamType[float]):
    """A time to come: an age with a plus, a time of day, or a date."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ARG002
        """Return epoch seconds."""
        if isinstance(value, float):
            return value
        option = "--begin" if param is None else param.opts[0]
        from dcdaemon.cli.begin import begin_at

        # Without a zone on purpose: what a person writes is meant by the wall clock, also across summer time.
        return begin_at(value, datetime.now(), option)  # noqa: DTZ005


def daemon(function: Callback) -> Callback:
    """Add --url, --token-file and --ca-file, and pass a `client` instead of them."""

    @click.option("--url", metavar="URL", help="The daemon: unix:///path or https://host:port.  [env: DCD_URL]")
    @click.option("--token-file", metavar="FILE", help="The token that TCP needs.  [env: DCD_TOKEN_FILE]")
    @click.option("--ca-file", metavar="FILE", help="Who vouches for an https daemon (PEM).  [env: DCD_CA_FILE]")
    @functools.wraps(function)
    def wrapper(*args: Any, url: str | None, token_file: str | None, ca_file: str | None, **kwargs: Any) -> int | None:
        return function(*args, client=connect(url, token_file, ca_file), **kwargs)

    return wrapper


def output(function: Callback) -> Callback:
    """Add the options that choose a format, and pass an Output `out` instead of them."""
    return _output(function, FORMATS)


def output_or_slurm(function: Callback) -> Callback:
    """Add the same options for a verb that can also print what Slurm's cousin of it prints."""
    return _output(function, (*FORMATS, SLURM))


def _output(function: Callback, forms: Sequence[str]) -> Callback:
    @click.option("-o", "--output", "form", type=click.Choice(forms), help="What to print.  [default: table]")
    @click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
    @click.option("-q", "--quiet", is_flag=True, help="The same as -o id: ids only.")
    @click.option("--columns", metavar="A,B", help="Which columns, by heading or by JSON key.")
    @click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", help="[default: auto]")
    @functools.wraps(function)
    def wrapper(
        *args: Any,
        form: str | None,
        as_json: bool,
        quiet: bool,
        columns: str | None,
        color: str,
        **kwargs: Any,
    ) -> int | None:
        form = "json" if as_json else "id" if quiet else form
        return function(*args, out=Output.of(form, columns, color), **kwargs)

    return wrapper


def confirm(question: str) -> None:
    """Ask before something that is hard to take back; raise Refused where nobody can, Abort on a no."""
    if not sys.stdin.isatty():
        raise Refused(f"nobody is here to answer: {question}", "add -y to say yes beforehand")
    click.confirm(question, abort=True, err=True)


def selectors(*, required: bool = True) -> Decorator:
    """Add SEL... and --name, passed as `select` and `name`."""

    def add(function: Callback) -> Callback:
        @click.argument("select", nargs=-1, metavar="SEL..." if required else "[SEL...]")
        @click.option("--name", metavar="NAME", help="The unfinished jobs of this name.")
        @functools.wraps(function)
        def wrapper(*args: Any, select: tuple[str, ...], name: str | None, **kwargs: Any) -> int | None:
            if required and not select and name is None:
                raise click.UsageError("no job is selected: name one by id (42), range (3-7), 120_3, last, @~1 or all")
            return function(*args, select=select, name=name, **kwargs)

        return wrapper

    return add
