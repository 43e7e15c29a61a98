"""Where the daemon listens: read a URL into the parts a connection needs."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from dcdaemon.core.errors import BadInput

_FORMS = "write it like unix:///run/dcdaemon/dcd.sock, https://node1:7717 or http://127.0.0.1:7717"
_DEFAULT_PORT = 7717


@dataclass(frozen=True, slots=True)
class Address:
    """One door of the daemon: a unix socket, or a TCP host and port."""

    url: str
    socket_path: str | None = None
    host: str = "localhost"
    port: int = _DEFAULT_PORT
    tls: bool = False


def parse_url(url: str) -> Address:
    """Return the address that `unix:///path`, `/path` or `https://host:port` (also http) names; raise BadInput."""
    if url.startswith("/"):
        return Address(f"unix://{url}", socket_path=url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput(f"the daemon's address {url!r} cannot be read: {error}", _FORMS) from error
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return Address(url, socket_path=parts.path)
    if parts.username is not None or parts.query or parts.fragment:
        # Not repeated: it may hold a password or a token, which have no place in an address.
        raise BadInput("the daemon's address holds more than host and port", "a token goes into a file: --token-file")
    if parts.scheme in ("http", "https") and host and parts.path in ("", "/"):
        return Address(url.rstrip("/"), host=host, port=port or _DEFAULT_PORT, tls=parts.scheme == "https")
    raise BadInput(f"the daemon's address {url!r} cannot be read", _FORMS)
