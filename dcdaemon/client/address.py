"""Where the daemon listens: read a URL into the parts a connection needs."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from dcdaemon.core.errors import BadInput

_FORMS = "write it like unix:///run/dcdaemon/dcd.sock or http://127.0.0.1:7717"
_DEFAULT_PORT = 7717


@dataclass(frozen=True, slots=True)
class Address:
    """One door of the daemon: a unix socket, or a TCP host and port."""

    url: str
    socket_path: str | None = None
    host: str = "localhost"
    port: int = _DEFAULT_PORT


def parse_url(url: str) -> Address:
    """Return the address that `unix:///path`, a bare `/path` or `http://host:port` names; raise BadInput."""
    if url.startswith("/"):
        return Address(f"unix://{url}", socket_path=url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput(f"the daemon's address {url!r} cannot be read: {error}", _FORMS) from error
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return Address(url, socket_path=parts.path)
    if parts.scheme == "http" and host and parts.path in ("", "/") and not parts.query:
        return Address(url.rstrip("/"), host=host, port=port or _DEFAULT_PORT)
    if parts.scheme == "https":
        raise BadInput(
            f"the daemon's address {url!r} asks for TLS, which it does not speak",
            "use an SSH tunnel (ssh -L 7717:127.0.0.1:7717 NODE) and http://127.0.0.1:7717",
        )
    raise BadInput(f"the daemon's address {url!r} cannot be read", _FORMS)
