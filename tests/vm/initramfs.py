"""The first files a machine boots from: a shell, the modules that find its disk, and a script that goes over to it."""

import os
import subprocess
from pathlib import Path

#: What Debian's cloud kernel has as modules and the machine cannot start without.
_MODULES = ("virtio_pci", "virtio_blk", "virtio_console")

_INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
while read -r module; do /bin/busybox insmod "$module"; done < /modules
while [ ! -b /dev/vda ]; do /bin/busybox usleep 10000; done
/bin/busybox mount -t ext4 -o rw /dev/vda /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /lib/systemd/systemd
"""


def make(root: Path, release: str, into: Path) -> None:
    """Write an initramfs for the kernel `release` whose modules are in the tree `root`, which also has busybox."""
    tree = into.with_suffix(".tree")
    for folder in ("bin", "dev", "root"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    modules = _with_dependencies(root / "lib/modules" / release)
    for source in (root / "bin/busybox", *modules):
        os.link(source, tree / "bin" / source.name)
    (tree / "modules").write_text("".join(f"/bin/{module.name}\n" for module in modules))
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    _pack(tree, into)


def _pack(tree: Path, into: Path) -> None:
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with into.open("wb") as packed:
        command = (tree / "bin/busybox", "cpio", "-o", "-H", "newc")
        subprocess.run(command, cwd=tree, input=names.encode(), stdout=packed, stderr=subprocess.DEVNULL, check=True)


def _with_dependencies(folder: Path) -> list[Path]:
    """Give the modules in the order in which they can be loaded, as depmod found it."""
    needs = dict(line.split(":") for line in (folder / "modules.dep").read_text().splitlines())
    order: list[str] = []
    for name in _MODULES:
        path = next(path for path in needs if Path(path).stem == name)
        order += [item for item in (*reversed(needs[path].split()), path) if item not in order]
    return [folder / path for path in order]
