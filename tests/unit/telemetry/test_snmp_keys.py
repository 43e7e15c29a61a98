"""Keys of SNMPv3 by published vectors, and by those that net-snmp made of the same passphrases."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.config.snmp import AUTHENTICATION as AUTHENTICATION_SETTINGS
from dcdaemon.config.snmp import PRIVACY as PRIVACY_SETTINGS
from dcdaemon.telemetry.snmp_keys import AUTHENTICATION, PRIVACY, Keys, NoLibrary, Passphrases, User, bound, stretched

ENGINE = bytes.fromhex("80001f8804746573743031")
SYRUP = b"maplesyrup"
LONG = b"a passphrase that is a good deal longer than the block of the hash it goes into, twice that"
#: What snmpd of net-snmp 5.9.3 keeps of `createUser NAME SHA-... maplesyrup AES maplesyrup` for this engine.
NET_SNMP = {
    "sha": "57926b1abf12d6864264554a5bd594e2339e27fc",
    "sha-224": "c47b47a57fd318d2bb48910b775059a617b4fa337be3f7c174041626",
    "sha-256": "159d20907e37abc6a05bdea29d679a69afa0142ae29730c83cf17f75e8c7c3b4",
    "sha-384": ("c3b9bf590d204c0957ae95b30b489e8517f6c266c6032a47553fd01b4c03768705a7127c04b2b2fbe760a4e25685a8d3"),
    "sha-512": (
        "4d174b5860eceb904dc55c9c6714382853c78294ef43915589008ebc46c8d1a5"
        "f9f7abd852f39bcbc30c6cfed2832d3826eaae22c1bde340bbf0e6fa9c77e248"
    ),
}


def keys(authentication: str, privacy: str, signing: bytes = SYRUP, encrypting: bytes = SYRUP) -> Keys:
    user = User("monitor", authentication, privacy, Path("/a"), Path("/b"))
    return Passphrases(user, signing, encrypting).keys(ENGINE)


def test_a_key_is_that_of_the_standard():
    # RFC 3414, A.3.2
    stretched_key = stretched("sha1", SYRUP)
    assert stretched_key.hex() == "9fb5cc0381497b3793528939ff788d5d79145211"
    assert bound("sha1", stretched_key, bytes(11) + b"\2").hex() == "6695febc9288e36282235fc7151f128497b38f3f"


@pytest.mark.parametrize("authentication", NET_SNMP)
def test_keys_are_those_of_net_snmp(authentication):
    made = keys(authentication, "aes-128")
    assert made.signing.hex() == NET_SNMP[authentication]
    assert made.encrypting.hex() == NET_SNMP[authentication][:32]


def test_a_long_passphrase_and_a_long_key_are_those_of_net_snmp():
    assert keys("sha-256", "aes-128", LONG).signing.hex() == (
        "aac9e25d3c56ba131bab9da9fd06fab08ef6897ab3122f7ed2cf7c03c060768e"
    )
    assert keys("sha-512", "aes-256", SYRUP, b"pancakes and more").encrypting.hex() == (
        "b032d9d450d0cb445efe79576ec743f3dbfd1dd63da880db32d1380fa4041597"
    )


def test_each_protocol_that_can_be_set_has_its_keys():
    assert set(AUTHENTICATION_SETTINGS) == AUTHENTICATION.keys() == NET_SNMP.keys()
    assert set(PRIVACY_SETTINGS) == PRIVACY.keys()


def test_signatures_are_as_long_as_their_standards_say():
    # RFC 3414 ch. 7 and RFC 7860 ch. 4.2
    assert {one: len(keys(one, "aes-128").sign(b"")) for one in AUTHENTICATION} == {
        "sha": 12, "sha-224": 16, "sha-256": 24, "sha-384": 32, "sha-512": 48,
    }  # fmt: skip


def test_encryption_is_that_of_the_standard():
    # NIST SP 800-38A, F.3.13: CFB128 with AES-128; its start is our boots, time and salt.
    start = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    clear = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    secret = bytes.fromhex("3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b")
    boots, time_s, salt = int.from_bytes(start[:4], "big"), int.from_bytes(start[4:8], "big"), start[8:]
    assert Keys("sha256", 24, b"", key).encrypt(clear, boots, time_s, salt) == secret
    assert Keys("sha256", 24, b"", key).decrypt(secret, boots, time_s, salt) == clear


@given(st.binary(max_size=300), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.binary(min_size=8, max_size=8))
def test_what_is_encrypted_is_decrypted(clear, boots, time_s, salt):
    both = Keys("sha256", 24, b"", bytes(range(32)))
    secret = both.encrypt(clear, boots, time_s, salt)
    assert len(secret) == len(clear)
    assert both.decrypt(secret, boots, time_s, salt) == clear


def test_without_the_library_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "Cryptodome.Cipher.AES", None)
    with pytest.raises(NoLibrary, match="SNMPv3 needs PyCryptodome, which is not installed"):
        keys("sha-256", "aes-128")
