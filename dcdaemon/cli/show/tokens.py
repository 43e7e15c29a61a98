"""Tokens as a table and as sentences."""

from dcdaemon.cli.show.output import Column, Page
from dcdaemon.cli.show.words import UNKNOWN, ago, count, printable, when
from dcdaemon.client.answer import Document

_STATE_STYLE = {"valid": "green", "expired": "dim", "revoked": "dim"}


def tokens_page(document: Document) -> Page:
    """Return the page of `dcd token list`."""
    tokens = document["tokens"]
    return Page(document, tokens, TOKENS, talk=count(len(tokens), "token"))


def created_page(token: Document, path: str | None) -> Page:
    """Return the page of `dcd token create`: the token itself alone, so that it can be piped."""
    talk = f"{_label(token)}: acts as {token['user']} ({token['role']}) until {when(token['expires_at'])}"
    if path is not None:
        return Page(token, [token], TOKENS, text=printable(f"Wrote {path}. {talk}. Use it: --token-file {path}"))
    return Page(token, [token], TOKENS, text=token["secret"], talk=printable(f"{talk}; it is not shown again"))


def revoked_page(token: Document) -> Page:
    """Return the page of `dcd token revoke`."""
    return Page(token, [token], TOKENS, text=printable(f"Revoked {_label(token)}: it opens nothing any more."))


def _label(token: Document) -> str:
    return f"token {token['name']} ({token['id']})"


def _maybe(time: str | None) -> str:
    return UNKNOWN if time is None else ago(time)


TOKENS = (
    Column("ID", lambda token: str(token["id"]), whole=True),
    Column("NAME", lambda token: str(token["name"])),
    Column("USER", lambda token: str(token["user"])),
    Column("ROLE", lambda token: str(token["role"]), whole=True),
    Column(
        "STATE", lambda token: str(token["state"]), whole=True,
        style=lambda token: _STATE_STYLE.get(token["state"], ""),
    ),
    Column("EXPIRES", lambda token: "never" if token["expires_at"] is None else ago(token["expires_at"]), whole=True),
    Column("LAST USED", lambda token: _maybe(token["last_used_at"]), whole=True),
    Column("FROM", lambda token: token["last_used_from"] or UNKNOWN, wide=True),
    Column("CREATED", lambda token: when(token["created_at"]), whole=True, wide=True),
    Column("BY", lambda token: str(token["created_by"]), wide=True),
)  # fmt: skip
