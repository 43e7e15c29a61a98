"""Opening a job's log as the daemon, not to be led astray by a link, a pipe, a stranger's file or the kernel's own."""

import ctypes
import errno
import os
import stat
from pathlib import Path

from dcdaemon.core.errors import NotFound, Refused

_LIBC = ctypes.CDLL(None, use_errno=True)
_STATFS_BYTES = 256
_HINT = "a log must be a plain file"
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
#: File systems that hold no logs, by the f_type of statfs(2) (linux/magic.h): reading such a file asks the kernel to do
#: something, with the rights of whoever asks, and its owner changes with the process that it tells of.
_NO_PLACE_FOR_LOGS = frozenset({
    0x9FA0,  # proc
    0x62656572,  # sysfs
    0x0027E0EB, 0x63677270,  # cgroup, cgroup2
    0x64626720, 0x74726163,  # debugfs, tracefs
    0x73636673, 0xF97CFF8C, 0x43415D53, 0x5A3C69F0,  # securityfs, selinuxfs, smackfs, apparmorfs
    0xCAFE4A11,  # bpf
    0x62656570, 0x65735543,  # configfs, fusectl
    0x6165676C, 0xDE5E81E4,  # pstore, efivarfs
    0x42494E4D, 0x07655821, 0x454D444D,  # binfmt_misc, resctrl, devmem
    0x1CD1, 0x19800202,  # devpts, mqueue
    0x6E736673, 0x50494446,  # nsfs, pidfs
    0x67596969, 0x6E667364,  # rpc_pipefs, nfsd
    0x50495045, 0x534F434B, 0x09041934,  # pipes, sockets, anonymous inodes
})  # fmt: skip


def open_log(path: Path, owner_uid: int) -> int:
    """Open a job's log for reading; raises NotFound, or Refused when it is no file that can be read.

    What belongs to anybody else is not there: whether it is, in a directory that is closed to the job's user, must not
    be found out by naming it as a log. The path is walked once, and what was checked is what is opened.
    """
    place = _locate(path)
    try:
        status = os.fstat(place)
        if status.st_uid != owner_uid:
            # The daemon's own files are not there either: a job may name any of root's files as its log.
            raise _absent(path)
        if not stat.S_ISREG(status.st_mode) or _type_of_filesystem(place) in _NO_PLACE_FOR_LOGS:
            raise Refused(f"will not read the log {path}: it is no plain file", _HINT)
        return _opened(place, path)
    except OSError as error:
        raise Refused(f"cannot open the log {path}: {error.strerror}", _HINT) from error
    finally:
        os.close(place)


def _locate(path: Path) -> int:
    """Hold on to whatever stands there without opening it: to open a watchdog or a tape drive is to start it."""
    try:
        return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _ABSENT:
            raise _absent(path) from error
        # Nothing on a local disk is closed to root; on a file server all of a home may be, whatever is in it.
        raise Refused(f"the daemon cannot open the log {path}: {error.strerror}", _HINT) from error


def _opened(place: int, path: Path) -> int:
    """Open what is held, without waiting for anybody: its owner may keep a lease on it (F_SETLEASE in fcntl(2))."""
    before = os.fstat(place)
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(f"/proc/self/fd/{place}", flags)
    except BlockingIOError as error:
        raise Refused(
            f"the log {path} is in use: a program holds a lease on it", "try again when it is done"
        ) from error
    now = os.fstat(descriptor)
    if os.path.samestat(before, now) and before.st_uid == now.st_uid:
        return descriptor
    os.close(descriptor)
    raise _absent(path)


def _type_of_filesystem(descriptor: int) -> int:
    """Return the type of the file system by its number: the first field of statfs(2), which Python does not tell."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _LIBC.fstatfs(descriptor, buffer) != 0:
        raise OSError(ctypes.get_errno(), "fstatfs failed")
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF


def _absent(path: Path) -> NotFound:
    return NotFound(
        f"no log at {path}: no plain file of the job's user", "the job has not opened it, or it was removed"
    )
