"""The group that the GPUs' device nodes are closed to, where an operator has closed them (`dcd gpus close`)."""

import grp
import stat
from pathlib import Path

GROUP = "dcdaemon-gpu"
_FOR_OTHERS = stat.S_IROTH | stat.S_IWOTH


def gpu_gid(dev: Path = Path("/dev"), group: str = GROUP) -> int | None:
    """Return the group a job needs to open its GPUs; None where the nodes are open, gone, or another group's.

    A distribution may close them to a group of its own, like `video`: that is not for jobs to have.
    """
    try:
        status = (dev / "nvidiactl").stat()
        if status.st_mode & _FOR_OTHERS or grp.getgrgid(status.st_gid).gr_name != group:
            return None
    except (OSError, KeyError):
        return None
    return status.st_gid
