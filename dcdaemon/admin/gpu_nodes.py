"""Closes the GPUs' device nodes to all but root and jobs, and opens them again.

The driver itself sets owner and mode of /dev/nvidia* whenever it creates them, and its set-uid helper nvidia-modprobe
puts them back at the next start of a program; so the mode is given to the driver, as an option of its module
(NVreg_DeviceFileGID and its like in its README). It holds from the next load of the driver on; until then the nodes
are closed by hand. nvidia-uvm and the nodes of MIG stay as they are: without nvidiactl and a GPU's own node they open
nothing.
"""

import grp
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.errors import DcdError, Forbidden
from dcdaemon.runner.gpu_group import GROUP

#: Read after those of a distribution: of an option that is given twice, the module takes the last.
OPTIONS_PATH = Path("etc/modprobe.d/zz-dcdaemon-gpu.conf")
_MODE_CLOSED, _MODE_OPEN = 0o660, 0o666
_PARAMS_PATH = Path("proc/driver/nvidia/params")
_NODE = re.compile(r"nvidia(\d+|ctl)")
_PARAM = re.compile(r"^DeviceFileMode: (\d+)$", re.MULTILINE)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Nodes:
    """How the nodes stand: how many are there, which others may open, and what the loaded driver would make them."""

    count: int
    open_to_all: tuple[str, ...]
    option_set: bool
    driver_mode: int | None

    @property
    def closed(self) -> bool:
        """Whether no node can be opened by everybody now."""
        return self.count > 0 and not self.open_to_all

    @property
    def firm(self) -> bool:
        """Whether the driver keeps them closed."""
        return self.driver_mode is not None and not self.driver_mode & 0o006


def look(root: Path = Path("/")) -> Nodes:
    """Return how the nodes of this machine stand."""
    nodes = list(_nodes(root))
    is_open = tuple(node.name for node in nodes if stat.S_IMODE(node.stat().st_mode) & 0o006)
    return Nodes(len(nodes), is_open, (root / OPTIONS_PATH).exists(), _driver_mode(root))


def close(say: Say, *, root: Path = Path("/"), group: str = GROUP, dry_run: bool = False) -> None:
    """Close the nodes to all but root and the group, now and for every load of the driver; raise DcdError."""
    _need_root("close")
    gid = _gid(group, say, dry_run=dry_run)
    number = "(the new group's)" if gid is None else gid
    options = (
        f"options nvidia NVreg_DeviceFileUID=0 NVreg_DeviceFileGID={number} NVreg_DeviceFileMode=0{_MODE_CLOSED:o}"
    )
    say(f"write /{OPTIONS_PATH}: {options}")
    if not dry_run:
        _write(root / OPTIONS_PATH, f"# By `dcd gpus close`; `dcd gpus open` takes it away again.\n{options}\n")
    _set(root, gid, _MODE_CLOSED, say, dry_run=dry_run)


def open_again(say: Say, *, root: Path = Path("/"), group: str = GROUP, dry_run: bool = False) -> None:
    """Undo `close`; raise DcdError."""
    _need_root("open")
    if (root / OPTIONS_PATH).exists():
        say(f"remove /{OPTIONS_PATH}")
        if not dry_run:
            (root / OPTIONS_PATH).unlink()
    _set(root, 0, _MODE_OPEN, say, dry_run=dry_run)
    if group == GROUP and root == Path("/") and _known(group) is not None:
        say(f"remove the group {group}")
        if not dry_run:
            _run("groupdel", group)


def _set(root: Path, gid: int | None, mode: int, say: Say, *, dry_run: bool) -> None:
    for node in _nodes(root):
        say(f"set /dev/{node.name} to mode {mode:04o}, group {'(the new one)' if gid is None else gid}")
        if not dry_run and gid is not None:
            # By descriptors of the path alone: opening a GPU's node would wake its driver.
            descriptor = os.open(node, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.chown(f"/proc/self/fd/{descriptor}", 0, gid)
                os.chmod(f"/proc/self/fd/{descriptor}", mode)  # noqa: PTH101  not a path of the disk
            finally:
                os.close(descriptor)


def _nodes(root: Path) -> Iterator[Path]:
    folder = root / "dev"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _NODE.fullmatch(path.name) and stat.S_ISCHR(path.lstat().st_mode):
            yield path


def _driver_mode(root: Path) -> int | None:
    """Return the mode that the loaded driver gives its nodes; None where none is loaded."""
    try:
        match = _PARAM.search((root / _PARAMS_PATH).read_text(encoding="ascii"))
    except OSError:
        return None
    return None if match is None else int(match[1])


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(path)
    except OSError as error:
        raise DcdError(
            f"cannot write {path}: {error.strerror}", "nothing was changed; see that /etc is writable"
        ) from error


def _gid(group: str, say: Say, *, dry_run: bool) -> int | None:
    gid = _known(group)
    if gid is not None:
        return gid
    say(f"make the group {group}")
    if dry_run:
        return None
    _run("groupadd", "--system", group)
    return grp.getgrnam(group).gr_gid


def _known(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        raise DcdError(
            f"{program} is not installed", "install the package passwd (shadow-utils), or make the group by hand"
        )
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DcdError(f"{program} failed: {done.stderr.strip()}", "nothing else was changed")


def _need_root(what: str) -> None:
    if os.geteuid() != 0:
        raise Forbidden(f"only root may {what} the GPUs' device nodes", f"sudo dcd gpus {what}")
