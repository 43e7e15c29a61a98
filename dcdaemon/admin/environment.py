"""Where the program lives, and whether anybody but root could change what root would run."""

import os
import stat
import sys
import sysconfig
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.errors import Refused

ROOT = frozenset({0})
_HINT = (
    "install it where root alone may write and all may read; as root: python3 -m venv /opt/dcdaemon && "
    "/opt/dcdaemon/bin/pip install dcdaemon, then /opt/dcdaemon/bin/dcd service install"
)
#: A chain of links this long goes in a circle.
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Environment:
    """What a service runs: the folder of the program `dcd`, its interpreter, and the folders of all its code."""

    programs: Path
    interpreter: Path
    code: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Weakness:
    """A place that somebody may change, and why."""

    path: Path
    why: str


def this_environment() -> Environment:
    """Return the environment of the running program."""
    package = Path(__file__).parents[1]
    paths = sysconfig.get_paths()
    code = {package, *(Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib"))}
    code.update(*map(added_by, (Path(paths["purelib"]), Path(paths["platlib"]))))
    outermost = sorted(path for path in code if not code & set(path.parents))
    return Environment(Path(paths["scripts"]), Path(sys.executable), tuple(outermost))


def added_by(folder: Path) -> set[Path]:
    """Return the places that the `.pth` files of a folder of packages add to those that Python imports from."""
    lines = [line.strip() for file in folder.glob("*.pth") for line in file.read_text(errors="replace").splitlines()]
    return {folder / line for line in lines if line and not line.startswith(("#", "import ", "import\t"))}


def refuse_unfit(environment: Environment, trusted: Collection[int] = ROOT) -> None:
    """Raise Refused when anybody but `trusted` (uids) may change what the service would run, or users cannot run it."""
    weakness = next(weaknesses(environment, trusted), None)
    if weakness is not None:
        raise Refused(
            f"a service of root cannot run {environment.programs / 'dcd'}: {weakness.path} {weakness.why}, so whoever "
            "may write there would be root",
            _HINT,
        )
    closed = next(_closed(environment), None)
    if closed is not None:
        raise Refused(
            f"jobs cannot run {environment.interpreter}: their users may not enter {closed}, and each job's shim runs "
            "as its user",
            _HINT,
        )


def weaknesses(environment: Environment, trusted: Collection[int] = ROOT, *, deep: bool = True) -> Iterator[Weakness]:
    """Yield the places that others may change: of every path down to the code, and, if `deep`, all within it."""
    for path in (environment.interpreter, environment.programs / "dcd", *environment.code):
        yield from _on_the_way(path, trusted)
    for folder in environment.code if deep else ():
        yield from _within(folder, trusted)


def _closed(environment: Environment) -> Iterator[Path]:
    """Yield the folders on the way to the code that not everybody may enter, through all links."""
    for path in (environment.interpreter, environment.programs / "dcd", *environment.code):
        for at, status in _way(path):
            if stat.S_ISDIR(status.st_mode) and not status.st_mode & stat.S_IXOTH:
                yield at


def _on_the_way(path: Path, trusted: Collection[int]) -> Iterator[Weakness]:
    for at, status in _way(path):
        weakness = _weakness(at, status, trusted)
        if weakness is not None:
            yield weakness


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Go from / to the path, and on along each link: what stands on the way decides what is found at its end."""
    left, at, links = list(path.absolute().parts[1:]), Path("/"), 0
    while left and links < _MOST_LINKS:
        part = left.pop(0)
        at = at.parent if part == ".." else at / part
        try:
            status = at.lstat()
        except OSError:
            return
        yield at, status
        if stat.S_ISLNK(status.st_mode):
            links += 1
            target = at.readlink()
            left = [*target.parts[target.is_absolute() :], *left]
            at = Path("/") if target.is_absolute() else at.parent


def _within(folder: Path, trusted: Collection[int]) -> Iterator[Weakness]:
    pending = [str(folder)] if folder.is_dir() else []
    while pending:
        # Tens of thousands of files where PyTorch is installed: no Path for each of them.
        with os.scandir(pending.pop()) as listing:
            entries = list(listing)
        for entry in entries:
            if entry.is_symlink():
                yield from _on_the_way(Path(entry.path), trusted)
                continue
            weakness = _weakness(entry, entry.stat(follow_symlinks=False), trusted)
            if weakness is not None:
                yield weakness
            if entry.is_dir():
                pending.append(entry.path)


def _weakness(place: os.PathLike[str], status: os.stat_result, trusted: Collection[int]) -> Weakness | None:
    mode = status.st_mode
    if status.st_uid not in trusted:
        return Weakness(Path(place), f"belongs to {_user(status.st_uid)}")
    # The mode of a link means nothing; in a folder with the sticky bit nobody can replace what is another's.
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return None
    if mode & stat.S_IWOTH:
        return Weakness(Path(place), "may be written by everybody")
    # Access lists show as the group's rights, too.
    if mode & stat.S_IWGRP and status.st_gid != 0:
        return Weakness(Path(place), f"may be written by the group {_group(status.st_gid)}")
    return None


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415  only for the message

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group(gid: int) -> str:
    import grp  # noqa: PLC0415  as above

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
