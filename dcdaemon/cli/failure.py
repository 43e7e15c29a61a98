"""Say what went wrong: two lines on stderr, or the error document on stdout where JSON was asked for."""

import json
import os
import sys
from collections.abc import Sequence
from itertools import pairwise

import click

from dcdaemon.core.errors import BadInput, DcdError

INTERRUPTED = 130
TIMED_OUT = 124
BEFORE_START = 125
PIPE_CLOSED = 141


class ReaderGone(Exception):
    """Whoever read our output has left."""


def tell(error: DcdError, *, as_json: bool) -> None:
    """Print the error in the shape the caller reads."""
    if as_json:
        sys.stdout.write(json.dumps(error.as_json(), ensure_ascii=False) + "\n")
        return
    lines = [f"error: {error.message}"] + ([f"hint: {error.hint}"] if error.hint else [])
    sys.stderr.write("\n".join(lines) + "\n")


def from_usage(error: click.UsageError) -> BadInput:
    """Return a mistake on the command line as an error of ours, with the page to read as its hint."""
    message = error.format_message().rstrip(".")
    path = error.ctx.command_path if error.ctx else "dcd"
    return BadInput(message[:1].lower() + message[1:], f"{path} -h explains it")


def from_bug(error: Exception) -> DcdError:
    """Return an unexpected exception as an error that asks to be reported."""
    if os.environ.get("DCD_DEBUG") == "1":
        raise error
    return DcdError(
        f"unexpected: {type(error).__name__}: {error}",
        "this is a bug in dcd: run it again with DCD_DEBUG=1 and report the traceback",
    )


def wants_json(arguments: Sequence[str]) -> bool:
    """Tell whether the command line asks for JSON; read by hand, because a bad one cannot be parsed."""
    ours = list(arguments)[: list(arguments).index("--")] if "--" in arguments else list(arguments)
    if any(word in ("--json", "-ojson", "-ojsonl", "--output=json", "--output=jsonl") for word in ours):
        return True
    return any(word in ("-o", "--output") and value in ("json", "jsonl") for word, value in pairwise(ours))
