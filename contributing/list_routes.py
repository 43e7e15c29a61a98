"""Print docs/api.md: the rules of the HTTP API, and its routes as the application itself lists them."""  # noqa: INP001  a script

import sys
from collections.abc import Iterator
from typing import Any, cast

from dcdaemon import __version__
from dcdaemon.api.app import make_app
from dcdaemon.api.changes import Changes
from dcdaemon.control.desk import Desk
from dcdaemon.core.errors import DcdError

PAGE = """\
# The HTTP API

Generated: `python -m contributing.list_routes > docs/api.md`. The daemon serves the full description, with the
type of every field of every request, at `/openapi.json`.

```console
$ curl --unix-socket /run/dcdaemon/dcd.sock http://dcd/v1/status
$ curl --unix-socket /run/dcdaemon/dcd.sock http://dcd/v1/jobs -H 'content-type: application/json' \\
    -d '{{"jobs": [{{"argv": ["python", "train.py"], "cwd": "/home/ada", "gpus": 1}}], "env": {{"PATH": "/usr/bin"}}}}'
```

## Rules

- **Who asks** is the peer of the unix socket (its uid, told by the kernel) or, over TCP, the owner of the token in
  `Authorization: Bearer TOKEN`. No other header and no field of a request changes that. Root, the daemon's own user
  and the configured operators may act on the jobs of others and drain GPUs. What else each
  role may do, and what is left out of the jobs of others (`"private": true`), is in [security.md](security.md).
- **Documents** are JSON objects with `"schema": 1`. Keys are in snake case and end in their unit: `_s`, `_bytes`,
  `_w`, `_j`, `_c`, `_hz`, `_ratio`. Times end in `_at` and are ISO 8601 in UTC with offset. What is not known is
  `null`, never 0. New keys may be added; keys are not renamed or removed within `/v1`.
- **Requests** are read strictly: an unknown key, a number in quotes or a half character is refused, and then nothing
  of the request is carried out. A submit takes all of its jobs or none, and what it answers is on disk.
- **Selectors** (`sel`, `select`, `after`, `after_any`, `after_not_ok`) are `42`, `3-7`, `last` or `@` (the caller's
  newest job), `@~1` (the one before), `all` (the caller's unfinished jobs), `120_3`, `120_[0-3,7]` or `120_*` (jobs of
  the array 120), lists of these with commas, and `name:TEXT`.
- **Times to come** (`begin_at`) are epoch seconds, or ISO 8601 with an offset.
- **Streams**: `/v1/wait` answers when the jobs have ended; a log with `follow=1` ends when the attempt's last process
  is gone. `X-Dcd-Offset` tells where in the log the first byte sent stands; go on with `offset=` after a break.

## Routes

| route | query | what it does |
|---|---|---|
{routes}

## Errors

Every error is `{{"error": {{"code": ..., "message": ..., "hint": ...}}}}`; the hint may be `null`.
A path or method that does not exist is `not_found` with status 404 or 405.

| code | HTTP status | meaning |
|---|---|---|
{errors}
"""


def routes() -> Iterator[str]:
    """Yield one table row per route and method."""
    app = make_app(cast("Desk", None), Changes(), __version__)  # nothing is asked of the desk
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield f"| `{method.upper()} {path}` | {_query(operation)} | {_first_line(operation['description'])} |"


def _query(operation: dict[str, Any]) -> str:
    names = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    return ", ".join(f"`{name}`" for name in names) or "-"


def _first_line(text: str) -> str:
    return text.splitlines()[0]


def errors(kind: type[DcdError] = DcdError) -> Iterator[str]:
    """Yield one table row per error that has a code of its own."""
    if "code" in vars(kind):
        yield f"| `{kind.code}` | {kind.http_status} | {_first_line(kind.__doc__ or '')} |"
    for narrower in kind.__subclasses__():
        if narrower.__module__ == DcdError.__module__:
            yield from errors(narrower)


def page() -> str:
    """Return the whole page."""
    return PAGE.format(routes="\n".join(routes()), errors="\n".join(errors()))


if __name__ == "__main__":
    sys.stdout.write(page())
