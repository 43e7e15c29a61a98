"""TLS to a daemon: its certificate is checked against a file or the system's authorities, and so is its name."""

import os
import ssl

from dcdaemon.core.errors import BadInput, Refused
from dcdaemon.core.loopback import is_loopback

#: `off` sends tokens over plain HTTP to other machines: for a network that is trusted, as [daemon] tls = "off" is.
VARIABLE = "DCD_TLS"


def context(ca_file: str | None) -> ssl.SSLContext:
    """Return how to connect: TLS 1.2 or newer, with a certificate that `ca_file` or the system vouches for."""
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        hint = "name a readable PEM file with the certificate of the authority, or of the daemon itself"
        raise BadInput(f"the certificates in {ca_file} cannot be read: {error.strerror or error}", hint) from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


def refuse_clear_text(url: str, host: str) -> None:
    """Raise Refused before a token leaves this machine where everybody on the way could read it."""
    if is_loopback(host) or os.environ.get(VARIABLE, "") == "off":
        return
    hint = f"use https://, or an SSH tunnel (ssh -L 7717:127.0.0.1:7717 {host}); {VARIABLE}=off sends it all the same"
    raise Refused(f"the token would go to {url} in the clear", hint)
