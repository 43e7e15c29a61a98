"""How jobs are fenced: what may be written for it."""

import pytest

from dcdaemon.config.model import SETTINGS
from dcdaemon.core.errors import BadInput


@pytest.mark.parametrize("raw", [["/dev/dri/renderD128", "char-drm"], "/dev/dri/renderD128,char-drm"])
def test_more_devices_are_a_list_of_nodes(raw):
    assert SETTINGS["jobs.devices"].kind.read(raw) == ("/dev/dri/renderD128", "char-drm")


@pytest.mark.parametrize(
    "node", ["renderD128", "/etc/passwd", "/dev/../etc/passwd", "/dev/sda rwm", "/dev/a\nUser=root"]
)
def test_what_is_no_device_node_never_reaches_systemd(node):
    with pytest.raises(BadInput, match="which is no device node"):
        SETTINGS["jobs.devices"].kind.read([node])


def test_isolation_is_one_of_three():
    kind = SETTINGS["jobs.isolation"].kind
    assert [kind.read(word) for word in ("auto", "unit", "shim")] == ["auto", "unit", "shim"]
    with pytest.raises(BadInput):
        kind.read("docker")
