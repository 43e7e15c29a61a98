"""What devices are shown to be asked: a community, or a user with two passphrases, read anew for each question."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.telemetry.secret_file import BadSecret, read_secret
from dcdaemon.telemetry.snmp_keys import SHORTEST_PASSPHRASE, NoLibrary, Passphrases, User
from dcdaemon.telemetry.snmp_v3 import V3
from dcdaemon.telemetry.snmp_version import V2c, Version

#: What most devices are delivered with, and all that a device with open read access asks for.
_USUAL_COMMUNITY = b"public"


class NoAccess(Exception):
    """Why a device cannot even be asked, and what mends it."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is asked; `host` is its address, so that it can be asked while names cannot be resolved.

    With a user, one of those that are set up, it is asked by SNMPv3, signed and encrypted; without one by SNMP v2c.
    """

    name: str
    host: str
    port: int = 161
    user: str = ""


class Access:
    """The community, the users, and what was learned of each device that is asked by SNMPv3."""

    def __init__(self, community_file: Path | None = None, users: Mapping[str, User] | None = None) -> None:
        self._community_file, self._users = community_file, users or {}
        self._known: dict[str, tuple[list[bytes], Passphrases]] = {}
        self._met: dict[str, V3] = {}

    def version(self, device: Device) -> Version:
        """Return how a device is asked, by what its files say now; raise NoAccess."""
        try:
            return self._v3(device) if device.user else V2c(self._community())
        except BadSecret as error:
            fix = f"see [snmp_users.{device.user}]" if device.user else "see [snmp] community_file"
            raise NoAccess(str(error), fix) from error
        except NoLibrary as error:
            raise NoAccess(str(error), "pip install 'dcdaemon[snmpv3]'") from error

    def _community(self) -> bytes:
        return read_secret(self._community_file, "community") if self._community_file else _USUAL_COMMUNITY

    def _v3(self, device: Device) -> V3:
        passphrases, met = self._passphrases(device.user), self._met.get(device.name)
        if met is None or met.passphrases is not passphrases:
            met = self._met[device.name] = V3(passphrases)
        return met

    def _passphrases(self, key: str) -> Passphrases:
        user = self._users[key]
        secrets = [
            _passphrase(user.authentication_file, "authentication passphrase"),
            _passphrase(user.privacy_file, "privacy passphrase"),
        ]
        known = self._known.get(key)
        if known is None or known[0] != secrets:
            # Stretching takes some milliseconds: once for each change of the files.
            known = self._known[key] = secrets, Passphrases(user, *secrets)
        return known[1]


def _passphrase(file: Path, what: str) -> bytes:
    passphrase = read_secret(file, what)
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise BadSecret(f"the {what} in {file} has less than {SHORTEST_PASSPHRASE} bytes, which no device takes")
    return passphrase
