"""`dcd token`: make, list and revoke what opens the daemon's TCP address."""

import os
from pathlib import Path

import click

from dcdaemon.cli.options import Duration, Verb, daemon, output, verb
from dcdaemon.cli.show.output import Output, emit
from dcdaemon.cli.show.tokens import created_page, revoked_page, tokens_page
from dcdaemon.client.http import Client
from dcdaemon.core.errors import BadInput


@click.group("token", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Tokens for TCP: whoever has one acts as the user it stands for, with at most its role."""


@verb("create", "dcd token create --name laptop --out ~/.dcd-token", "dcd token create --role viewer --expires 7d",
      cls=Verb)  # fmt: skip
@click.option("--name", metavar="NAME", help="What it is called.  [default: the user and six signs]")
@click.option("--user", metavar="USER", help="For whom; operators only.  [default: yourself]")
@click.option(
    "--role", type=click.Choice(("viewer", "submitter", "operator")), default="submitter", show_default=True,
    help="viewer: sees, changes nothing; submitter: acts on the user's jobs; operator: on everything.",
)  # fmt: skip
@click.option("--expires", type=Duration(), default="30d", show_default=True, metavar="AGE", help="How long it lives.")
@click.option("--out", "path", metavar="FILE", help="Write it to a new file that only you can read; print nothing.")
@daemon
@output
def create(*, client: Client, out: Output, expires: float, path: str | None, **asked: str | None) -> None:
    """Make a token. It is told this once: print it into a file, and give that to --token-file."""
    target = None if path is None else _new_file(Path(path).expanduser())
    try:
        document = client.post("/v1/tokens", {**asked, "expires_s": expires})
    except BaseException:
        if target is not None:
            os.close(target)
            Path(str(path)).expanduser().unlink()
        raise
    if target is not None:
        with os.fdopen(target, "w") as file:
            file.write(document.pop("secret") + "\n")
    emit(created_page(document, path), out)


@verb("list", "dcd token list", "dcd token list --json", cls=Verb)
@daemon
@output
def list_(client: Client, out: Output) -> None:
    """List your tokens, or as an operator those of all users: until when, and when last used."""
    emit(tokens_page(client.get("/v1/tokens")), out)


@verb("revoke", "dcd token revoke laptop", "dcd token revoke 3f2a90c1be77", cls=Verb)
@click.argument("token", metavar="NAME")
@daemon
@output
def revoke(client: Client, out: Output, token: str) -> None:
    """Have a token, by name or id, open nothing from now on; logs that it follows end, too."""
    emit(revoked_page(client.post("/v1/tokens/revoke", {"token": token})), out)


def _new_file(path: Path) -> int:
    """Open before anything is asked for: a token that cannot be kept must not be made."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BadInput(f"{path} cannot be made: {error.strerror}", "name a new file in a directory of yours") from error


for _part in (create, list_, revoke):
    command.add_command(_part)
