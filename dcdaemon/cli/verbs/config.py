"""`dcd config`: show, check or write the configuration."""

import os
from pathlib import Path

import click

from dcdaemon.cli.options import output, verb
from dcdaemon.cli.show.output import Column, Output, Page, dump, emit, say, talk
from dcdaemon.core.errors import BadInput, Refused


@click.group("config", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show, check or write the configuration."""


_FILE = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="This file in place of the usual ones, as `dcd daemon run --config` reads it.",
)


@verb("show", "dcd config show", "dcd config show --origin")
@_FILE
@click.option("--origin", is_flag=True, help="Where each value comes from, too.")
@output
def show(out: Output, file: Path | None, *, origin: bool) -> None:
    """Print every setting as it holds now; passwords are masked."""
    from dcdaemon.config.load import load
    from dcdaemon.config.show import rows as settings

    rows = [{"key": row.name, "value": row.value, "origin": row.origin} for row in settings(load(_named(file)))]
    columns = (
        Column("KEY", lambda row: str(row["key"]), whole=True),
        Column("VALUE", lambda row: dump(row["value"])),
        *((Column("ORIGIN", lambda row: str(row["origin"])),) if origin else ()),
    )
    emit(Page({"schema": 1, "settings": rows}, rows, columns, id_key="key"), out)


@verb("check", "dcd config check", "dcd config check --config /etc/dcdaemon/dcdaemon.toml")
@_FILE
@output
def check(out: Output, file: Path | None) -> int:
    """Read the configuration as the daemon would; exit with 1 when something in it looks wrong."""
    from dcdaemon.config.load import load

    warnings = [str(warning) for warning in load(_named(file)).warnings]
    text = "\n".join(f"warn  {warning}" for warning in warnings) or "ok    the configuration can be used"
    rows = [{"warning": warning} for warning in warnings]
    emit(Page({"schema": 1, "ok": not warnings, "warnings": warnings}, rows, id_key="warning", text=text), out)
    return 1 if warnings else 0


@verb("init", "dcd config init", "dcd config init /etc/dcdaemon/dcdaemon.toml")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def init(file: Path | None) -> None:
    """Write a file that holds every setting with its default and meaning; an existing one is left alone."""
    from dcdaemon.config.show import init_text

    target = file or _files()[-1]
    if target.exists():
        raise Refused(f"{target} is already there", "edit it, or name another file: dcd config init FILE")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(init_text(), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error}", "name a place of yours: dcd config init FILE") from error
    say(str(target))
    talk("Every line is a comment with the default: take the # away from what you change.")


@verb("path", "dcd config path", "$EDITOR $(dcd config path | tail -1)")
def path() -> None:
    """Print the files that are read, later ones over earlier ones."""
    for file in _files():
        say(str(file))


def _named(file: Path | None) -> list[Path] | None:
    return None if file is None else [file]


def _files() -> list[Path]:
    from dcdaemon.config.sources import default_paths

    return default_paths(os.environ)


for part in (show, check, init, path):
    command.add_command(part)
