"""Signs requests to S3-compatible object stores: AWS Signature Version 4, for requests without a body.

Written by hand on purpose (docs/decisions/007-signing-s3-requests-by-hand.md); the tests compare it with AWS'
published examples and with botocore's own signer.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_NO_BODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """An access key for one region; its secret never shows in a log."""

    access_key: str
    secret: str = field(repr=False)
    region: str


def query_string(query: Iterable[tuple[str, str]]) -> str:
    """Return the query as it is signed and sent: encoded, in the order of the encoded names."""
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in encoded)


def signed_headers(host: str, path: str, query: str, key: Key, at: float) -> dict[str, str]:
    """Return the headers of a signed GET; `path` and `query` as they are sent, `at` in epoch seconds."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    headers = {"host": host, "x-amz-content-sha256": _NO_BODY, "x-amz-date": moment}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"GET\n{path}\n{query}\n{lines}\n{names}\n{_NO_BODY}"
    scope = f"{moment[:8]}/{key.region}/s3/aws4_request"
    to_sign = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(_signing_key(key.secret, scope), to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={key.access_key}/{scope}"
    return headers | {"authorization": f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"}


def _signing_key(secret: str, scope: str) -> bytes:
    made = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    return made
