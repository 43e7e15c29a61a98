"""Turn the daemon's answer into a document, or into the error that it stands for."""

import json
from collections.abc import Iterator
from typing import Any

from dcdaemon.core.errors import BadInput, DcdError, Forbidden, NotFound, Refused, Unauthorized

Document = dict[str, Any]

# For answers that carry no code of ours: a proxy's, or the HTTP framework's own.
_BY_STATUS: dict[int, type[DcdError]] = {
    400: BadInput, 401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Refused, 422: BadInput,
}  # fmt: skip


def read_document(url: str, status: int, body: bytes) -> Document:
    """Return the JSON object of a good answer; raise the error that a bad one names."""
    try:
        document = json.loads(body) if body else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise DcdError(
            f"what answers at {url} is not dcdaemon (HTTP {status}, no JSON)",
            "check --url and DCD_URL: another program may listen there",
        )
    if status >= 400:
        raise rebuild(status, document)
    return document


def rebuild(status: int, document: Document) -> DcdError:
    """Return the error of the tree in core.errors that the daemon raised, found by its code."""
    error = document.get("error")
    if not isinstance(error, dict):
        return _BY_STATUS.get(status, DcdError)(f"the daemon answered HTTP {status}: {_detail(document)}")
    known = {kind.code: kind for kind in _tree(DcdError) if "code" in vars(kind)}
    kind = known.get(str(error.get("code")), _BY_STATUS.get(status, DcdError))
    return kind(str(error.get("message")), error.get("hint"))


def _detail(document: Document) -> str:
    detail = document.get("detail", "no reason given")
    return detail if isinstance(detail, str) else json.dumps(detail)


def _tree(root: type[DcdError]) -> Iterator[type[DcdError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _tree(kind)
