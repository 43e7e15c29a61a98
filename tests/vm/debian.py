"""Debian with a kernel as a tree of files: what changes seldom, kept in the cache."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from vm import apt, initramfs
from vm.steps import step

KERNEL = "linux-image-cloud-amd64"
_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "python3-venv", "busybox-static", "kmod", "procps",
)  # fmt: skip


@dataclass(frozen=True)
class Debian:
    """A folder of the cache; `key` changes with what is in it."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        return self.folder / "initramfs"

    @property
    def key(self) -> str:
        return self.folder.name


def debian(cache: Path) -> Debian:
    """Give Debian of this machine's own release, made anew when apt has another kernel or this code has changed."""
    mirror = apt.mirror()
    assert mirror is not None, "apt has no source of this release of Debian: see /etc/apt"
    kernel = apt.only_dependency(KERNEL)
    code = [Path(module).read_text() for module in (__file__, initramfs.__file__)]
    made = Debian(cache / f"debian-{digest([*code, mirror.codename, apt.newest(kernel) or kernel])}")
    if not (made.folder / "complete").exists():
        for old in cache.glob("debian-*"):
            shutil.rmtree(old)
        made.folder.mkdir(mode=0o700)
        _make(made, mirror, kernel)
    return made


def digest(inputs: Iterable[str]) -> str:
    """Give a short name for what something is made of."""
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]


def chroot(root: Path, *command: str) -> str:
    """Run a program of the tree, as root in it; return what it said."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    done = subprocess.run(("chroot", root, *command), env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def _make(made: Debian, mirror: apt.Mirror, kernel: str) -> None:
    with ThreadPoolExecutor() as beside:
        package = beside.submit(apt.download, kernel, made.folder / "kernel")
        with step("debootstrap"):
            _debootstrap(mirror, made.root, made.folder / "programs")
        with step("kernel"):
            _add_kernel(made, package.result())
    (made.folder / "complete").touch()


def _debootstrap(mirror: apt.Mirror, root: Path, programs: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    command += [f"--keyring={mirror.keyring}"] if mirror.keyring else []
    with (root.parent / "debootstrap.log").open("w") as log:
        subprocess.run(
            (*command, mirror.codename, root, mirror.uri), check=True, stdout=log, stderr=log,
            env=apt.fetching_as_apt(programs),
        )  # fmt: skip
    shutil.rmtree(root / "var/cache/apt/archives")
    for source in (root / "etc/apt").rglob("*.list"):
        source.unlink()


def _add_kernel(made: Debian, package: Path) -> None:
    """Unpack a kernel; its own scripts would make an initramfs for every machine there is."""
    unpacked = made.folder / "unpacked"
    subprocess.run(("dpkg-deb", "-x", package, unpacked), check=True)
    release = next((unpacked / "lib/modules").iterdir()).name
    shutil.copytree(unpacked / "lib/modules", made.root / "lib/modules", dirs_exist_ok=True, symlinks=True)
    chroot(made.root, "depmod", "-a", release)
    shutil.copy(unpacked / f"boot/vmlinuz-{release}", made.kernel)
    initramfs.make(made.root, release, made.initramfs)
    shutil.rmtree(unpacked)
