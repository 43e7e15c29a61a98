"""Find the daemon to talk to: option, environment, configuration, then the usual sockets."""

import os
from pathlib import Path

from dcdaemon.client.http import Client
from dcdaemon.core.errors import BadInput

SYSTEM_SOCKET = "/run/dcdaemon/dcd.sock"


def connect(url: str | None, token_file: str | None, ca_file: str | None = None) -> Client:
    """Return a client for the daemon that is named by --url, DCD_URL or the configuration."""
    address = url or os.environ.get("DCD_URL") or usual_url()
    return Client(address, read_token(token_file), ca_file=ca_file or os.environ.get("DCD_CA_FILE"))


def usual_url() -> str:
    """Return the configured socket; without one, one's own or else the node's service."""
    # Imported here: a command that was told its URL reads no configuration.
    from dcdaemon.config.load import load

    loaded = load()
    own = str(loaded.config.daemon.socket)
    configured = loaded.origins.get("daemon.socket", "default") != "default"
    if configured or Path(own).exists() or not Path(SYSTEM_SOCKET).exists():
        return f"unix://{own}"
    return f"unix://{SYSTEM_SOCKET}"


def read_token(token_file: str | None) -> str | None:
    """Return the token kept in the file that --token-file or DCD_TOKEN_FILE names; raise BadInput."""
    name = token_file or os.environ.get("DCD_TOKEN_FILE")
    if not name:
        return None
    hint = "name a readable file that holds the token and nothing else"
    try:
        token = Path(name).expanduser().read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the token file {name} cannot be read: {error}", hint) from error
    if not token.isprintable() or not token or " " in token:
        raise BadInput(f"the token file {name} holds no token", hint)
    return token
