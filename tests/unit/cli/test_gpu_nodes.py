"""The GPUs' device nodes closed to all but jobs: real nodes and two real users, and a driver of paper."""

import grp
import os
import stat
import subprocess
from pathlib import Path

import documents
import pytest

from dcdaemon.admin import gpu_nodes
from dcdaemon.cli.gpu_checks import foreign_checks, node_checks
from dcdaemon.core.errors import Forbidden
from dcdaemon.runner.gpu_group import gpu_gid

NVIDIA_MAJOR = 195
NOBODY = 65534
#: Any group that is on every system and not root's.
GROUP = grp.getgrgid(next(group.gr_gid for group in grp.getgrall() if group.gr_gid)).gr_name
GID = grp.getgrnam(GROUP).gr_gid


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root directory with two GPUs, as their driver makes them."""
    dev = tmp_path / "dev"
    dev.mkdir()
    for name, minor in (("nvidia0", 0), ("nvidia1", 1), ("nvidiactl", 255), ("nvidia-uvm", 0)):
        try:
            os.mknod(dev / name, stat.S_IFCHR | 0o666, os.makedev(NVIDIA_MAJOR, minor))
        except PermissionError:
            pytest.skip("device nodes can be made by root alone")
        (dev / name).chmod(0o666)
    (dev / "nvidia-caps").mkdir()
    tmp_path.chmod(0o755)
    return tmp_path


def driver(root: Path, mode: int) -> None:
    params = root / "proc/driver/nvidia/params"
    params.parent.mkdir(parents=True, exist_ok=True)
    params.write_text(f"ResmanDebugLevel: 4294967295\nDeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: {mode}\n")


def close(root: Path, **options: bool) -> list[str]:
    said: list[str] = []
    gpu_nodes.close(said.append, root=root, group=GROUP, **options)
    return said


def modes(root: Path) -> dict[str, tuple[int, int]]:
    nodes = sorted(path for path in (root / "dev").iterdir() if not path.is_dir())
    return {path.name: (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) for path in nodes}


def test_closing_leaves_the_nodes_to_root_and_the_group_for_this_load_of_the_driver_and_the_next(root):
    close(root)
    closed = (0o660, GID)
    assert modes(root) == {"nvidia-uvm": (0o666, 0), "nvidia0": closed, "nvidia1": closed, "nvidiactl": closed}
    options = root / "etc/modprobe.d/zz-dcdaemon-gpu.conf"
    assert options.read_text().splitlines()[1] == (
        f"options nvidia NVreg_DeviceFileUID=0 NVreg_DeviceFileGID={GID} NVreg_DeviceFileMode=0660"
    )
    assert stat.S_IMODE(options.stat().st_mode) == 0o644
    assert close(root)  # once more changes nothing
    gpu_nodes.open_again(lambda _: None, root=root, group=GROUP)
    assert set(modes(root).values()) == {(0o666, 0)}
    assert not options.exists()


def test_a_dry_run_says_all_and_does_nothing(root):
    before = modes(root)
    said = close(root, dry_run=True)
    assert said[0].startswith("write /etc/modprobe.d/zz-dcdaemon-gpu.conf: options nvidia NVreg_DeviceFileUID=0")
    assert said[1:] == [f"set /dev/{name} to mode 0660, group {GID}" for name in ("nvidia0", "nvidia1", "nvidiactl")]
    assert (modes(root), (root / "etc").exists()) == (before, False)


def opens(root: Path, gids: list[int]) -> str:
    """Open a GPU's node as nobody with these groups; the driver is not there, which is told only to who may open."""
    script = f"exec 3<{root}/dev/nvidia0"
    done = subprocess.run(
        ["sh", "-c", script],
        user=NOBODY,
        group=NOBODY,
        extra_groups=gids,
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    return done.stderr.strip().rpartition(": ")[2]


def test_only_who_has_the_group_gets_as_far_as_the_driver(root):
    for parent in root.parents:
        if parent.stat().st_mode & 0o001 == 0 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    assert opens(root, []) != "Permission denied"
    close(root)
    assert opens(root, []) == "Permission denied"
    assert opens(root, [GID]) not in ("", "Permission denied")


def test_jobs_get_the_group_only_while_the_nodes_are_closed_to_it(root):
    dev = root / "dev"
    assert gpu_gid(dev, GROUP) is None
    close(root)
    assert gpu_gid(dev, GROUP) == GID
    assert gpu_gid(dev) is None  # closed by somebody else to a group of theirs: not for jobs to have
    os.chown(dev / "nvidiactl", 0, 54321)  # a group without a name
    assert gpu_gid(dev, GROUP) is None
    assert gpu_gid(root / "nowhere", GROUP) is None


def test_a_link_in_the_place_of_a_node_is_left_alone(root):
    target = root / "precious"
    target.write_text("")
    target.chmod(0o600)
    (root / "dev" / "nvidia2").symlink_to(target)
    close(root)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_only_root_closes(root, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Forbidden) as refused:
        close(root)
    assert (refused.value.message, refused.value.hint) == (
        "only root may close the GPUs' device nodes", "sudo dcd gpus close",
    )  # fmt: skip


def levels(root: Path) -> list[tuple[str, str]]:
    return [(check.level, check.message) for check in node_checks(root)]


def test_doctor_tells_open_closed_and_half_closed(root):
    driver(root, 0o666)
    [(level, message)] = levels(root)
    assert (level, message) == ("ok", "the GPUs' device nodes are open: everybody can use GPUs without a job")
    close(root)
    [(level, message)] = levels(root)
    assert (level, message.partition(":")[0]) == (
        "warn", "the GPUs' device nodes are closed until a program asks for CUDA",
    )  # fmt: skip
    driver(root, 0o660)
    assert levels(root) == [("ok", "3 device nodes of the GPUs, closed to all but jobs and root")]
    (root / "dev/nvidia1").chmod(0o666)
    assert levels(root)[0][0] == "warn"


def test_doctor_says_nothing_of_nodes_that_are_not_there(tmp_path):
    assert levels(tmp_path) == []


def test_doctor_names_who_keeps_a_gpu_from_jobs():
    document = documents.gpus()
    [check] = foreign_checks(document)
    assert check.level == "warn"
    assert "gets no job: pid 9931" in check.message
    assert "kill 9931" in str(check.fix)
    for gpu in document["gpus"]:
        gpu["processes"] = []
    assert [check.level for check in foreign_checks(document)] == ["ok"]
    assert list(foreign_checks({"gpus": []})) == []
