"""Which addresses nobody but this machine reaches."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Say whether a name or address can be reached from this machine alone; of names it is `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
