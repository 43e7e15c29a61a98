"""Whose a place on disk is, and work done there as its owner, who is not to get what a link leads root to."""

import contextlib
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dcdaemon.core.errors import Forbidden, Refused

#: As many as the kernel follows (path_resolution(7)).
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of this machine, with his groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def owner_of(path: Path) -> Owner | None:
    """Return who can change what this path leads to, when root is asked and another user can; None: work as we are.

    That is the owner of the first step of it that is not root's, behind links of root's own too; raise Refused for
    links in a circle.
    """
    if os.geteuid() != 0:
        return None
    for _ in range(_MOST_LINKS):
        found = _first_step(path.absolute())
        if not isinstance(found, Path):
            return None if found is None else _owner(found)
        path = found
    raise Refused(f"{path} leads through too many links", "name the directory itself in [daemon] state_dir")


@contextlib.contextmanager
def acting_as(owner: Owner | None) -> Iterator[None]:
    """Have the kernel check all that is done meanwhile as if the owner did it; raise Forbidden where root may not."""
    if owner is None:
        yield
        return
    gid, groups = os.getegid(), os.getgroups()
    try:
        os.setgroups(owner.groups)
        os.setegid(owner.gid)
        os.seteuid(owner.uid)
    except OSError as error:
        _be_root(gid, groups)
        raise Forbidden(f"cannot act as uid {owner.uid}: {error.strerror}", "run it as that user") from error
    try:
        yield
    finally:
        _be_root(gid, groups)


def _be_root(gid: int, groups: list[int]) -> None:
    os.seteuid(0)
    os.setegid(gid)
    with contextlib.suppress(PermissionError):  # as it was not possible before
        os.setgroups(groups)


def _first_step(path: Path) -> os.stat_result | Path | None:
    """Return the first step that is not root's; where a link of root's comes before it, the path it leads to."""
    for step in (*reversed(path.parents), path):
        try:
            status = step.lstat()
        except FileNotFoundError:
            return None
        if status.st_uid != 0:
            return status
        if stat.S_ISLNK(status.st_mode):
            # Not normalised: `..` behind a link is the parent of what it leads to, and each step of it is looked at.
            return step.parent / step.readlink() / path.relative_to(step)
    return None


def _owner(status: os.stat_result) -> Owner:
    try:
        user = pwd.getpwuid(status.st_uid)
    except KeyError:
        return Owner(status.st_uid, status.st_gid, (status.st_gid,))
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    return Owner(user.pw_uid, user.pw_gid, tuple(groups))
