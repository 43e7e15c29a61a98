"""Keys of SNMPv3: made of passphrases, bound to one device each, used to sign and to encrypt.

Hashes and HMAC are Python's own, AES is that of PyCryptodome, which is loaded where a device is asked by SNMPv3 only.
"""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from Cryptodome.Cipher._mode_cfb import CfbMode

#: Each authentication protocol's hash, and how many bytes of the HMAC are sent (RFC 3414 ch. 7, RFC 7860 ch. 4).
AUTHENTICATION = {
    "sha": ("sha1", 12), "sha-224": ("sha224", 16), "sha-256": ("sha256", 24), "sha-384": ("sha384", 32),
    "sha-512": ("sha512", 48),
}  # fmt: skip
#: Each privacy protocol's length of the key (RFC 3826). AES-256 is no standard; where the hash is as long as the key,
#: all who speak it make the same key.
PRIVACY = {"aes-128": 16, "aes-256": 32}
SHORTEST_PASSPHRASE = 8
_STRETCHED = 2**20
_BLOCK = 2**12


class NoLibrary(Exception):
    """The library that SNMPv3 is encrypted with is not installed."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks devices by SNMPv3, by which protocols, and the files that hold a passphrase each."""

    name: str
    authentication: str
    privacy: str
    authentication_file: Path
    privacy_file: Path


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one user for one engine."""

    hash_name: str
    signature_bytes: int
    signing: bytes
    encrypting: bytes

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, in which there are zeros in its place."""
        return hmac.digest(self.signing, message, self.hash_name)[: self.signature_bytes]

    def encrypt(self, clear: bytes, boots: int, time_s: int, salt: bytes) -> bytes:
        """Return what is sent in place of this; the same salt must never come twice with the same boots and time."""
        return _cipher(self.encrypting, boots, time_s, salt).encrypt(clear)

    def decrypt(self, secret: bytes, boots: int, time_s: int, salt: bytes) -> bytes:
        """Return what was encrypted; it is gibberish where another key was used."""
        return _cipher(self.encrypting, boots, time_s, salt).decrypt(secret)


class Passphrases:
    """What a user knows, stretched once, so that the keys for each device come quickly (RFC 3414 A.2)."""

    def __init__(self, user: User, signing: bytes, encrypting: bytes) -> None:
        load_library()
        self.user = user
        self._hash_name, self._signature_bytes = AUTHENTICATION[user.authentication]
        self._key_bytes = PRIVACY[user.privacy]
        self._signing, self._encrypting = (stretched(self._hash_name, one) for one in (signing, encrypting))

    def keys(self, engine_id: bytes) -> Keys:
        """Return the keys for one engine."""
        signing, encrypting = (bound(self._hash_name, one, engine_id) for one in (self._signing, self._encrypting))
        return Keys(self._hash_name, self._signature_bytes, signing, encrypting[: self._key_bytes])


def stretched(hash_name: str, passphrase: bytes) -> bytes:
    """Return the hash of a mebibyte of this passphrase, again and again."""
    # As many whole ones as make a block, so that blocks follow each other without a seam.
    block = passphrase * (_BLOCK // len(passphrase) + 1)
    blocks, rest = divmod(_STRETCHED, len(block))
    digest = hashlib.new(hash_name)
    for _ in range(blocks):
        digest.update(block)
    digest.update(block[:rest])
    return digest.digest()


def bound(hash_name: str, key: bytes, engine_id: bytes) -> bytes:
    """Return the key that is good for one engine alone."""
    return hashlib.new(hash_name, key + engine_id + key).digest()


def load_library() -> None:
    """Load what encrypts, so that it is there when it is needed; raise NoLibrary."""
    try:
        import Cryptodome.Cipher.AES  # noqa: F401, PLC0415  2 MB that SNMPv3 alone needs
    except (ImportError, OSError) as error:
        raise NoLibrary("SNMPv3 needs PyCryptodome, which is not installed") from error


def _cipher(key: bytes, boots: int, time_s: int, salt: bytes) -> "CfbMode":
    from Cryptodome.Cipher import AES  # noqa: PLC0415

    start = boots.to_bytes(4, "big") + time_s.to_bytes(4, "big") + salt
    return AES.new(key, AES.MODE_CFB, iv=start, segment_size=128)
