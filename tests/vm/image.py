"""Makes the machine's disk: Debian, the product in /opt/dcdaemon, two users, and a way in."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vm import wheels
from vm.debian import Debian, chroot, debian, digest
from vm.steps import step

CACHE = wheels.REPOSITORY / ".venv/cache/vm"
USERS = ("ada", "ben")
_GUEST = Path(__file__).parent / "guest"
_PYTHON = "/opt/dcdaemon/bin/python"
#: Nobody logs in at a terminal, and nothing is to be updated.
_MASKED = (
    "serial-getty@ttyS0.service", "getty@tty1.service", "apt-daily.timer", "apt-daily-upgrade.timer",
    "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "dpkg-db-backup.timer",
)  # fmt: skip
_DISK_SIZE = "3G"


@dataclass(frozen=True)
class Image:
    """What a machine is started from."""

    disk: Path
    kernel: Path
    initramfs: Path


def make(into: Path) -> Image:
    """Give an image with the product as it is in the working tree; what changes seldom comes from the cache."""
    with _alone():
        system = debian(CACHE)
        root = _with_packages(system)
        with step("product built"):
            wheel = wheels.product(into)
        with step("product installed"):
            _install(root, wheel)
        with step("disk written"):
            disk = into / "disk.ext4"
            subprocess.run(("mke2fs", "-q", "-F", "-t", "ext4", "-d", root, disk, _DISK_SIZE), check=True)
    return Image(disk, system.kernel, system.initramfs)


@contextmanager
def _alone() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _with_packages(system: Debian) -> Path:
    """Give a tree with all but the product, from the cache while nothing of it has changed."""
    texts = [path.read_text() for path in (Path(__file__), Path(wheels.__file__), *sorted(_GUEST.iterdir()))]
    pins = [*wheels.needed(), (wheels.REPOSITORY / "constraints.txt").read_text()]
    folder = CACHE / f"packages-{digest([system.key, *texts, *pins])}"
    if not (folder / "complete").exists():
        for old in CACHE.glob("packages-*"):
            shutil.rmtree(old)
        folder.mkdir(mode=0o700)
        _add_packages(system, folder)
        (folder / "complete").touch()
    return folder / "root"


def _add_packages(system: Debian, folder: Path) -> None:
    root, wheelhouse = folder / "root", folder / "wheels"
    subprocess.run(("cp", "-a", "--reflink=auto", system.root, root), check=True)
    with step("packages fetched"):
        version = chroot(root, "python3", "-c", "import platform; print(platform.python_version())")
        wheels.fetch(version, wheelhouse)
    with step("packages installed"):
        _furnish(root)
        chroot(root, "python3", "-m", "venv", "/opt/dcdaemon")
        _pip(root, wheelhouse)


def _furnish(root: Path) -> None:
    for user in USERS:
        chroot(root, "useradd", "--create-home", "--shell", "/bin/bash", user)
    shutil.copy(_GUEST / "agent.py", root / "usr/local/lib/dcd-vm-agent.py")
    shutil.copy(_GUEST / "dcd-vm-agent.service", root / "etc/systemd/system")
    chroot(root, "systemctl", "enable", "--quiet", "dcd-vm-agent.service")
    chroot(root, "systemctl", "mask", "--quiet", *_MASKED)
    (root / "etc/hostname").write_text("node\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 node\n")


def _install(root: Path, wheel: Path) -> None:
    _pip(root, wheel.parent, "--force-reinstall")
    link = root / "usr/local/bin/dcd"
    link.unlink(missing_ok=True)
    link.symlink_to("/opt/dcdaemon/bin/dcd")


def _pip(root: Path, wheelhouse: Path, *options: str) -> None:
    """Install all wheels of a folder in the machine's environment."""
    there = root / "opt/wheels"
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir()
    for wheel in wheelhouse.glob("*.whl"):
        shutil.copy(wheel, there)
    names = [f"/opt/wheels/{path.name}" for path in there.iterdir()]
    chroot(root, _PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
           "--disable-pip-version-check", "--root-user-action=ignore", *options, *names)  # fmt: skip
    shutil.rmtree(there)
