"""Talk HTTP to the daemon over its unix socket or TCP; stdlib only, so that commands start quickly."""

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode

from dcdaemon.client.address import Address, parse_url
from dcdaemon.client.answer import Document, read_document
from dcdaemon.core.errors import Unreachable

Query = Mapping[str, object | Sequence[object]]

START_HINT = "start it: `dcd daemon run --demo` to try it out, `sudo systemctl start dcdaemon` on a GPU node"
_CONNECT_TIMEOUT_S = 5.0
_CHUNK_BYTES = 65536


class CutOff(Unreachable):
    """The daemon was there and broke off: worth waiting for, unlike one that never answered."""


class Client:
    """One daemon, named by its URL; every call opens a connection of its own and raises core.errors."""

    def __init__(
        self, url: str, token: str | None = None, *, timeout_s: float = 60.0, ca_file: str | None = None
    ) -> None:
        """Remember where the daemon is; nothing is opened yet. Raises BadInput for a bad URL.

        Over https the daemon must have a certificate that `ca_file`, or else the system, vouches for.
        """
        self.address = parse_url(url)
        self._ca_file = ca_file
        if token and self.address.socket_path is None and not self.address.tls:
            # Imported here: most commands use the unix socket.
            from dcdaemon.client.tls import refuse_clear_text  # noqa: PLC0415

            refuse_clear_text(self.address.url, self.address.host)
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._timeout_s = timeout_s

    def get(self, path: str, query: Query | None = None, *, patient: bool = False) -> Document:
        """Return the document at `path`; a patient call waits for the answer as long as it takes."""
        with self._ask("GET", path, query, None, None if patient else self._timeout_s) as response:
            return self._document(response)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Document:
        """Send `body` as JSON and return the answer."""
        with self._ask("POST", path, None, json.dumps(body or {}).encode(), self._timeout_s) as response:
            return self._document(response)

    @contextmanager
    def stream(self, path: str, query: Query | None = None) -> Iterator["Stream"]:
        """Open a byte stream that may pause for as long as it likes."""
        with self._ask("GET", path, query, None, None) as response:
            if response.status >= 400:
                self._document(response)
            yield Stream(response)

    def _document(self, response: HTTPResponse) -> Document:
        try:
            return read_document(self.address.url, response.status, response.read())
        except Unreachable as error:
            # It answered that it is being stopped: worth waiting for.
            raise CutOff(error.message, error.hint) from error

    @contextmanager
    def _ask(
        self, method: str, path: str, query: Query | None, body: bytes | None, timeout_s: float | None
    ) -> Iterator[HTTPResponse]:
        target = f"{path}?{_encode(query)}" if query else path
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        connection = self._connect(timeout_s)
        try:
            connection.request(method, target, body, headers)
            yield connection.getresponse()
        except TimeoutError as error:
            raise CutOff(
                f"the daemon at {self.address.url} did not answer within {timeout_s:g} s", _after(method)
            ) from error
        except (OSError, HTTPException) as error:
            raise CutOff(
                f"the daemon at {self.address.url} broke off the conversation ({_words(error)})",
                _after(method),
            ) from error
        finally:
            connection.close()

    def _connect(self, timeout_s: float | None) -> HTTPConnection:
        connection = _Connection(self.address, self._ca_file)
        try:
            connection.connect()
        except PermissionError as error:
            raise Unreachable(
                f"the socket {self.address.socket_path} may not be opened by you",
                "ask the node's operator which group may use dcdaemon",
            ) from error
        except OSError as error:
            raise Unreachable(f"no daemon answers at {self.address.url} ({_words(error)})", START_HINT) from error
        connection.sock.settimeout(timeout_s)
        return connection


class Stream:
    """Bytes as they arrive; `offset` is the place of the first one in the whole, for taking up again."""

    def __init__(self, response: HTTPResponse) -> None:
        """Take over an answer whose body has not been read."""
        self.offset = int(response.headers.get("X-Dcd-Offset") or 0)
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        """Yield what is there as soon as it is there; raises HTTPException when the stream is cut short."""
        while chunk := self._response.read1(_CHUNK_BYTES):
            yield chunk


class _Connection(HTTPConnection):
    def __init__(self, address: Address, ca_file: str | None) -> None:
        super().__init__(address.host, address.port, timeout=_CONNECT_TIMEOUT_S)
        self._address, self._ca_file = address, ca_file
        self._socket_path = address.socket_path

    def connect(self) -> None:
        if self._socket_path is None:
            super().connect()
            if self._address.tls:
                self._encrypt()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(_CONNECT_TIMEOUT_S)
            self.sock.connect(self._socket_path)
        except OSError:
            self.sock.close()
            raise

    def _encrypt(self) -> None:
        from dcdaemon.client.tls import context  # noqa: PLC0415  as above

        plain = self.sock
        try:
            self.sock = context(self._ca_file).wrap_socket(plain, server_hostname=self._address.host)
        except BaseException:
            plain.close()
            raise


def _encode(query: Query) -> str:
    given: dict[str, Any] = {key: value for key, value in query.items() if value is not None}
    return urlencode(given, doseq=True)


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _after(method: str) -> str:
    if method == "POST":
        return "what was asked may or may not have happened: look with `dcd ps -a` before you repeat it"
    return "look at its own words: `journalctl -u dcdaemon`; then try again"
