"""The settings of devices that are asked by SNMP and of the users they are asked as, and what cannot be together."""

from collections.abc import Mapping
from dataclasses import dataclass

from dcdaemon.config.lists import DEVICES
from dcdaemon.config.setting import declared
from dcdaemon.config.values import INTERVAL, SECRET_FILE, TEXT, choice, near
from dcdaemon.core.errors import BadConfig

AUTHENTICATION = ("sha-256", "sha-224", "sha-384", "sha-512", "sha")
PRIVACY = ("aes-128", "aes-256")
#: Their hash is shorter than a key of AES-256, and devices lengthen it in different ways.
_TOO_SHORT = ("sha", "sha-224")
_LONGEST_NAME_BYTES = 32


@dataclass(frozen=True, slots=True)
class Snmp:
    """Switches, firewalls and other devices that are asked by SNMP v2c, or by SNMPv3 where a user stands before @."""

    devices: tuple[tuple[str, str, int, str], ...] = declared(
        [], DEVICES, 'Which ones: names and addresses, like ["core1=192.0.2.10", "fw=monitor@192.0.2.1:1161"].'
    )
    community_file: str = declared(
        "", SECRET_FILE, 'For SNMP v2c: file that holds the community, for the daemon\'s user alone; empty: "public".'
    )
    interval_s: float = declared("60s", INTERVAL, "Time between two questions to a device.", "interval")


@dataclass(frozen=True, slots=True)
class SnmpUser:
    """A user whom devices know by SNMPv3: `snmp.devices` names it by the section, like monitor@192.0.2.10.

    Messages are signed and encrypted, always.
    """

    user: str = declared("", TEXT, "The name that the devices know it by; empty: the section's own.")
    authentication: str = declared("sha-256", choice(*AUTHENTICATION), "How messages are signed.")
    authentication_file: str = declared(
        "", SECRET_FILE, "File that holds the authentication passphrase, for the daemon's user alone."
    )
    privacy: str = declared("aes-128", choice(*PRIVACY), "How they are encrypted.")
    privacy_file: str = declared("", SECRET_FILE, "File that holds the privacy passphrase; it can be the same file.")


def refuse_strangers(snmp: Snmp, users: Mapping[str, SnmpUser]) -> None:
    """Raise BadConfig for users that are only half described, and for devices with a user who is not there."""
    for name, user in users.items():
        _refuse_user(f"snmp_users.{name}", user.user or name, user)
    for device, _, _, asker in snmp.devices:
        if asker and asker not in users:
            hint = near(asker, list(users), f"describe it in a section [snmp_users.{asker}]")
            raise BadConfig(f"snmp.devices: {device} has the user {asker!r}, who is not in snmp_users", hint)


def _refuse_user(where: str, name: str, user: SnmpUser) -> None:
    if not 0 < len(name.encode()) <= _LONGEST_NAME_BYTES:
        raise BadConfig(f"{where}: {name!r} is no name of a user", f"it has 1 to {_LONGEST_NAME_BYTES} bytes")
    for key in ("authentication_file", "privacy_file"):
        if not getattr(user, key):
            raise BadConfig(f"{where}.{key} is not set", "name the file that holds the passphrase")
    if user.privacy == "aes-256" and user.authentication in _TOO_SHORT:
        raise BadConfig(
            f"{where}: aes-256 needs a longer hash than {user.authentication} gives",
            "set authentication to sha-256, sha-384 or sha-512, or privacy to aes-128",
        )
