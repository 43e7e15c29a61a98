"""TLS by certificate files: a key that others could read is refused, old protocols too; both files can be read anew."""

import os
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path

from dcdaemon.core.errors import BadConfig
from dcdaemon.core.loopback import is_loopback

_HINT = "check [daemon] tls_certificate and tls_key"


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate with its chain, and its key; made once, and read again where new files came."""

    certificate: Path
    key: Path
    context: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def load(self) -> "Tls":
        """Read both files; connections made from now on use them. Raise BadConfig, and nothing has changed."""
        check_key(self.key)
        # First into a context of its own: half of a renewed pair must not take the good one's place.
        _read(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.certificate, self.key)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        _read(self.context, self.certificate, self.key)
        return self


def _read(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise BadConfig(f"the certificate {certificate} cannot be used with its key: {error}", _HINT) from error


def check_key(key: Path) -> None:
    """Raise BadConfig unless the key belongs to root or the daemon's user, and others cannot read it.

    A group may: that is how distributions share keys with services (root:ssl-cert, 0640).
    """
    try:
        status = key.stat()
    except OSError as error:
        raise BadConfig(f"the key {key} cannot be read: {error.strerror}", _HINT) from error
    if not stat.S_ISREG(status.st_mode):
        raise BadConfig(f"the key {key} is no file", _HINT)
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o037:
        raise BadConfig(f"the key {key} is open to others (mode {mode:04o})", f"chmod 600 {key}")
    if status.st_uid not in (0, os.geteuid()):
        raise BadConfig(f"the key {key} belongs to user {status.st_uid}, who may change it", f"chown root {key}")


def is_local(address: str) -> bool:
    """Say whether HOST:PORT can be reached from this machine alone."""
    return is_loopback(address.rpartition(":")[0].strip("[]"))


def refuse_open_tcp(address: str, tls: Tls | None, setting: str) -> None:
    """Raise BadConfig for an address that others reach, without TLS and without a word that this is meant."""
    if tls is not None or is_local(address) or setting == "off":
        return
    raise BadConfig(
        f"[daemon] tcp = {address!r} can be reached by others, and tokens would cross the network in the clear",
        'set [daemon] tls_certificate and tls_key, or listen on 127.0.0.1; tls = "off" allows it as it is',
    )
