"""Lists a bucket of an S3-compatible object store, one page a request."""

import http.client
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlsplit
from xml.parsers import expat

from dcdaemon.telemetry.secret_file import BadSecret, read_secret
from dcdaemon.telemetry.sigv4 import Key, query_string, signed_headers

PAGE_KEYS = 1000
#: For connecting and for each wait; the whole answer gets twice as long.
_TIMEOUT_S = 10.0
_CHUNK_BYTES = 65536
#: A page of 1,000 keys of the longest names is a third of this.
_MOST_BYTES = 8 * 2**20
_TOLD = ("Size", "IsTruncated", "NextContinuationToken", "Code", "Message")
_OK = 200


class ProbeError(Exception):
    """Why a request failed, in words for a person."""


@dataclass(frozen=True)
class Bucket:
    """A bucket, where it is, and who asks; `secret_file` holds the secret access key and nothing else."""

    endpoint: str
    name: str
    region: str
    access_key: str
    secret_file: Path
    clock: Callable[[], float] = time.time

    def page(self, keys: int, token: str | None = None) -> "Page":
        """Return one page of at most so many keys; raise ProbeError when it cannot be had."""
        query = [("list-type", "2"), ("max-keys", str(keys))]
        query += [("continuation-token", token)] if token else []
        page = Page()
        try:
            self._get(query_string(query), page)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ProbeError(_why(error)) from error
        return page

    @property
    def label(self) -> str:
        """Its name in samples and messages, like s3.example.org/datasets."""
        return f"{self._host}/{self.name}"

    @cached_property
    def _url(self) -> tuple[str, str, int | None, str]:
        parts = urlsplit(self.endpoint)
        return parts.scheme, parts.hostname or "", parts.port, parts.path.rstrip("/")

    @cached_property
    def _host(self) -> str:
        scheme, name, port, _ = self._url
        host = f"[{name}]" if ":" in name else name
        return host if port in (None, {"http": 80, "https": 443}[scheme]) else f"{host}:{port}"

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _get(self, query: str, page: "Page") -> None:
        scheme, name, port, folder = self._url
        path = f"{folder}/{quote(self.name, safe='')}"
        key = Key(self.access_key, self._secret(), self.region)
        with closing(self._connection(scheme, name, port)) as connection:
            headers = signed_headers(self._host, path, query, key, self.clock())
            connection.request("GET", f"{path}?{query}", headers=headers)
            with closing(connection.getresponse()) as answer:
                try:
                    _read(answer, page)
                except ValueError:
                    if answer.status == _OK:
                        raise
        if answer.status != _OK:
            said = ": ".join(filter(None, (page.told.get("Code"), page.told.get("Message"))))
            raise ProbeError(f"HTTP {answer.status} {said or answer.reason}")
        if "IsTruncated" not in page.told:
            raise ProbeError("the answer is no listing of a bucket")
        if page.told["IsTruncated"] == "true" and not page.next_token:
            raise ProbeError("the listing goes on, but names no next page")

    def _secret(self) -> str:
        try:
            return read_secret(self.secret_file, "secret access key").decode("utf-8")
        except (BadSecret, UnicodeDecodeError) as error:
            raise ProbeError(str(error)) from error

    def _connection(self, scheme: str, name: str, port: int | None) -> http.client.HTTPConnection:
        """Return a fresh connection: what a probe measures is what the next user meets."""
        if scheme == "https":
            return http.client.HTTPSConnection(name, port, timeout=_TIMEOUT_S, context=self._tls)
        return http.client.HTTPConnection(name, port, timeout=_TIMEOUT_S)


class Page:
    """What one answer told, parsed as it comes: the sum of sizes, their number, and the token of the next page."""

    def __init__(self) -> None:
        self.objects, self.bytes = 0, 0
        self.told: dict[str, str] = {}
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.CharacterDataHandler = self._text
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = _refuse
        self._open: str | None = None

    @property
    def next_token(self) -> str | None:
        """Name the page after this one; None after the last."""
        return self.told.get("NextContinuationToken") if self.told.get("IsTruncated") == "true" else None

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        """Take in a piece of the answer; raise ValueError when it is no XML."""
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            raise ValueError(f"the answer is no XML: {error}") from error

    def _start(self, name: str, _: object) -> None:
        self._open = name if name in _TOLD else None
        if self._open:
            self.told[self._open] = ""

    def _text(self, text: str) -> None:
        if self._open:
            self.told[self._open] += text

    def _end(self, _: str) -> None:
        if self._open == "Size":
            self.objects += 1
            self.bytes += int(self.told.pop("Size"))
        self._open = None


def _read(answer: http.client.HTTPResponse, page: Page) -> None:
    until_s, size = time.monotonic() + 2 * _TIMEOUT_S, 0
    while piece := answer.read1(_CHUNK_BYTES):
        size += len(piece)
        if size > _MOST_BYTES:
            raise ValueError(f"the answer is longer than {_MOST_BYTES} bytes")
        if time.monotonic() > until_s:
            raise TimeoutError
        page.feed(piece)
    page.feed(b"", last=True)


def _refuse(*_: object) -> None:
    raise ValueError("the answer brings a DOCTYPE, which no object store sends")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT_S:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
