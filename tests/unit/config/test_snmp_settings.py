"""The devices that are asked by SNMP: how they are written, and that their community is never shown."""

import pytest

from dcdaemon.config.load import load
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
        ("core1=192.0.2.10", ("core1", "192.0.2.10", 161)),
        ("core1 = 192.0.2.10:1161", ("core1", "192.0.2.10", 1161)),
        ("192.0.2.10", ("192.0.2.10", "192.0.2.10", 161)),
        ("fw=2001:db8::1", ("fw", "2001:db8::1", 161)),
        ("fw=[2001:db8::1]:1161", ("fw", "2001:db8::1", 1161)),
        ("rack 7=left=192.0.2.1", ("rack 7=left", "192.0.2.1", 161)),
    ],
)
def test_a_device_is_a_name_and_an_address(text, device):
    assert snmp(devices=[text]).devices == (device,)


def test_several_devices_stand_in_one_variable():
    loaded = load([], {**ENV, "DCD_SNMP__DEVICES": "a=192.0.2.1, b=192.0.2.2"}, uid=1000)
    assert [name for name, _, _ in loaded.config.snmp.devices] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    ["core1=switch.example.org", "=192.0.2.1", "core1=", "core1=192.0.2.300", "core1=192.0.2.1:0", "a=1.2.3.4:99999"],
)
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
