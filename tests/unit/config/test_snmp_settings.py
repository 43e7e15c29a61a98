"""The devices that are asked by SNMP: how they and their users are written, and that secrets are never shown."""

import pytest

from dcdaemon.config.load import load
from dcdaemon.config.secrets import MASK
from dcdaemon.config.show import rows
from dcdaemon.core.errors import BadConfig

ENV = {"HOME": "/home/ada"}


def snmp(**flags: object):
    return load([], ENV, {f"snmp.{key}": value for key, value in flags.items()}, uid=1000).config.snmp


def test_nothing_is_asked_unless_it_is_configured():
    assert (snmp().devices, snmp().community_file, snmp().interval_s) == ((), "", 60.0)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("core1=192.0.2.10", ("core1", "192.0.2.10", 161, "")),
        ("core1 = 192.0.2.10:1161", ("core1", "192.0.2.10", 1161, "")),
        ("192.0.2.10", ("192.0.2.10", "192.0.2.10", 161, "")),
        ("fw=2001:db8::1", ("fw", "2001:db8::1", 161, "")),
        ("fw=[2001:db8::1]:1161", ("fw", "2001:db8::1", 1161, "")),
        ("rack 7=left=192.0.2.1", ("rack 7=left", "192.0.2.1", 161, "")),
        ("ada@home=192.0.2.1", ("ada@home", "192.0.2.1", 161, "")),
    ],
)
def test_a_device_is_a_name_and_an_address(text, device):
    assert snmp(devices=[text]).devices == (device,)


def test_several_devices_stand_in_one_variable():
    loaded = load([], {**ENV, "DCD_SNMP__DEVICES": "a=192.0.2.1, b=192.0.2.2"}, uid=1000)
    assert [name for name, *_ in loaded.config.snmp.devices] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "core1=switch.example.org", "=192.0.2.1", "core1=", "core1=192.0.2.300", "core1=192.0.2.1:0", "a=1.2.3.4:99999",
        "a=@1.2.3.4", "a=ada@",
    ],
)  # fmt: skip
def test_what_is_no_device_is_refused(text):
    with pytest.raises(BadConfig) as caught:
        snmp(devices=[text])
    assert f"has {text!r}, which is no device" in caught.value.message
    assert caught.value.hint == 'write name and address, like "core1=192.0.2.10"'


def test_two_devices_of_one_name_are_refused():
    with pytest.raises(BadConfig, match="names 'core1' twice"):
        snmp(devices=["core1=192.0.2.1", "core1=192.0.2.2"])


def test_the_community_is_in_a_file_and_only_its_path_is_shown(tmp_path):
    (tmp_path / "community").write_text("geheim")
    loaded = load([], ENV, {"snmp.community_file": str(tmp_path / "community")}, uid=1000)
    assert loaded.config.snmp.community_file == str(tmp_path / "community")
    assert all("geheim" not in str(row.value) for row in rows(loaded))
    assert snmp(community_file="~/community").community_file == "/home/ada/community"


USER = {"snmp_users.monitor.authentication_file": "~/signs", "snmp_users.monitor.privacy_file": "/etc/hides"}


def users(more: dict[str, str | None]):
    settings = USER | {f"snmp_users.monitor.{key}": value for key, value in more.items()}
    return load([], ENV, settings, uid=1000).config


def test_a_user_has_a_section_and_stands_before_the_address_of_a_device():
    user = users({"user": "ops@site", "privacy": "AES-256"}).snmp_users["monitor"]
    assert (user.user, user.authentication, user.privacy) == ("ops@site", "sha-256", "aes-256")
    assert (user.authentication_file, user.privacy_file) == ("/home/ada/signs", "/etc/hides")
    devices = load([], ENV, USER | {"snmp.devices": ["fw=monitor@[2001:db8::1]:1161"]}, uid=1000).config.snmp.devices
    assert devices == (("fw", "2001:db8::1", 1161, "monitor"),)


def test_a_user_can_stand_in_variables():
    env = ENV | {
        "DCD_SNMP_USERS__MONITOR__AUTHENTICATION_FILE": "/a", "DCD_SNMP_USERS__MONITOR__PRIVACY_FILE": "/b",
        "DCD_SNMP__DEVICES": "monitor@192.0.2.1",
    }  # fmt: skip
    config = load([], env, uid=1000).config
    assert config.snmp_users["monitor"].privacy_file == "/b"
    assert config.snmp.devices == (("192.0.2.1", "192.0.2.1", 161, "monitor"),)


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        ({"privacy_file": None}, "snmp_users.monitor.privacy_file is not set", "name the file"),
        ({"authentication_file": None}, "snmp_users.monitor.authentication_file is not set", "name the file"),
        ({"authentication": "md5"}, "is not one of sha-256, sha-224, sha-384, sha-512, sha", "write sha-256"),
        ({"privacy": "des"}, "is not one of aes-128, aes-256", "aes-128"),
        (
            {"privacy": "aes-256", "authentication": "sha"},
            "snmp_users.monitor: aes-256 needs a longer hash than sha gives", "set authentication to sha-256",
        ),
        ({"user": "x" * 33}, "is no name of a user", "it has 1 to 32 bytes"),
    ],
)  # fmt: skip
def test_a_user_who_cannot_be_is_refused(more, message, hint):
    with pytest.raises(BadConfig) as caught:
        users(more)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_device_with_a_user_who_is_not_there_is_refused():
    with pytest.raises(BadConfig) as caught:
        load([], ENV, USER | {"snmp.devices": ["core1=monitr@192.0.2.1"]}, uid=1000)
    assert caught.value.message == "snmp.devices: core1 has the user 'monitr', who is not in snmp_users"
    assert caught.value.hint == "did you mean monitor?"


@pytest.mark.parametrize("key", ["snmp_users.monitor.privacy_file", "snmp.community_file", "object_store.secret_file"])
def test_a_secret_where_its_file_belongs_is_not_repeated(key):
    with pytest.raises(BadConfig) as caught:
        load([], ENV, {key: "geheim und lang"}, uid=1000)
    assert caught.value.message == f"command line: {key} = {MASK!r} is not an absolute path"


def test_passphrases_are_in_files_and_only_their_paths_are_shown(tmp_path):
    (tmp_path / "signs").write_text("geheim und lang")
    loaded = load([], ENV, USER | {"snmp_users.monitor.authentication_file": str(tmp_path / "signs")}, uid=1000)
    shown = {row.name: row.value for row in rows(loaded)}
    assert shown["snmp_users.monitor.authentication_file"] == str(tmp_path / "signs")
    assert all("geheim" not in str(value) for value in shown.values())
