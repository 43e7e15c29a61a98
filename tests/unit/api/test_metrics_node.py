"""GET /metrics/node: what the kernel tells, and filesystems from the daemon's own readings."""

import pytest
from readings import Exposition
from scene import Scene

from dcdaemon.api.metrics.pages import make_pages
from dcdaemon.core.exposed import Exposed
from dcdaemon.core.samples import FilesystemSample

ROOT = {"device": "/dev/vda", "fstype": "ext4", "mountpoint": "/"}


@pytest.fixture
def scene() -> Scene:
    """A node by itself: nothing here goes through the API's server."""
    return Scene()


@pytest.fixture
def page(scene):
    families = [
        Exposed("node_load1", "gauge", "Load.", (), [((), 0.5)]),
        Exposed(
            "node_cpu_seconds_total", "counter", "Time.", ("cpu", "mode"), [(("0", "idle"), 1.5), (("0", "user"), 2)]
        ),
        Exposed("node_arp_entries", "gauge", "ARP.", ("device",), []),
    ]
    maker = make_pages(scene.desk, lambda: (), dcgm=False, node=lambda: families)["/metrics/node"]

    def make(*samples):
        scene.desk.board.newest.take(samples, scene.clock.monotonic())
        return Exposition(maker().decode())

    return make


def filesystem(mount: str = "/", **values) -> FilesystemSample:
    return FilesystemSample(at=1.0, mount=mount, fstype="ext4", device="/dev/vda", **values)


def test_families_are_written_as_they_are_told_and_empty_ones_are_left_out(page):
    shown = page()
    assert shown.value("node_load1") == 0.5
    assert shown.value("node_cpu_seconds_total", cpu=0, mode="idle") == 1.5
    assert shown.types == {"node_load1": "gauge", "node_cpu_seconds_total": "counter"}


def test_filesystems_count_what_root_alone_may_use_as_node_exporter_does(page):
    shown = page(
        filesystem(size_bytes=900, available_bytes=400, reserved_bytes=100, files=50, files_free=20, read_only=False)
    )
    assert {name: shown.value(f"node_filesystem_{name}", **ROOT) for name in (
        "size_bytes", "avail_bytes", "free_bytes", "files", "files_free", "readonly", "device_error",
    )} == {
        "size_bytes": 1000, "avail_bytes": 400, "free_bytes": 500, "files": 50, "files_free": 20, "readonly": 0,
        "device_error": 0,
    }  # fmt: skip


def test_a_filesystem_that_does_not_answer_is_an_error_and_has_no_sizes(page):
    shown = page(filesystem("/data", error="does not answer since 12 s", read_only=False))
    assert shown.value("node_filesystem_device_error", mountpoint="/data") == 1
    assert "node_filesystem_size_bytes" not in shown.types


def test_a_filesystem_that_is_not_read_any_more_leaves(page, scene):
    assert page(filesystem(size_bytes=1, reserved_bytes=0)).value("node_filesystem_size_bytes") == 1
    scene.clock.advance(31)
    assert "node_filesystem_size_bytes" not in page().types
