"""The device nodes a job may open: its own GPUs and what CUDA needs beside them, and no other hardware."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

#: What no job can do harm with: terminals of its own, filesystems and networks of its own (Apptainer, rootless Podman).
FOR_ALL = ("char-pts", "/dev/fuse", "/dev/net/tun")
#: Belong to no GPU, and CUDA opens them all; the tools are what profilers and debuggers use.
FOR_CUDA = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
#: All GPUs there are, by the name of their driver: it was nvidia-frontend until the driver's release 550.
ALL_GPUS = "char-nvidia*"
UVM = Path("dev/nvidia-uvm")


def job_devices(
    minors: Sequence[int | None],
    *,
    instance: str | None = None,
    more: Iterable[str] = (),
    root: Path = Path("/"),
) -> tuple[str, ...]:
    """Return the devices of a job by its GPUs' minor numbers (not their indices), as DeviceAllow= names them.

    Of a GPU cut by MIG it has that `instance`, like `9/0`. A GPU whose minor number the driver does not tell makes it
    all GPUs: a fence that forbids CUDA is none.
    """
    devices = [*FOR_ALL, *more]
    if not minors:
        return tuple(devices)
    devices += FOR_CUDA
    known = [minor for minor in minors if minor is not None]
    devices += [f"/dev/nvidia{minor}" for minor in known] if len(known) == len(minors) else [ALL_GPUS]
    for minor in known:
        devices += _mig_devices(root, minor, instance)
    if len(minors) > 1:
        devices += _fabric(root)
    return tuple(dict.fromkeys(devices))


def uvm_missing(root: Path = Path("/")) -> bool:
    """Tell whether CUDA's memory device is not there yet: the driver makes it at the first use by a privileged one."""
    return (root / "dev/nvidiactl").exists() and not (root / UVM).exists()


def _mig_devices(root: Path, minor: int, instance: str | None) -> list[str]:
    """Return the capabilities of a MIG instance of one GPU (NVIDIA's MIG guide, "Device Nodes and Capabilities").

    Those of all instances for a job that was given none of them.
    """
    instances = root / "proc/driver/nvidia/capabilities" / f"gpu{minor}" / "mig"
    if instance is None:
        paths = sorted(instances.rglob("access"))
    else:
        gpu_instance, _, compute_instance = instance.partition("/")
        of_gpu = instances / f"gi{gpu_instance}"
        paths = [of_gpu / "access", of_gpu / f"ci{compute_instance}" / "access"]
    numbers = (_minor_in(path) for path in paths)
    return [f"/dev/nvidia-caps/nvidia-cap{number}" for number in numbers if number is not None]


def _minor_in(path: Path) -> int | None:
    try:
        found = re.search(r"^DeviceFileMinor:\s*(\d+)", path.read_text("ascii", "replace"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def _fabric(root: Path) -> list[str]:
    """Return what ranks talk through: InfiniBand without its management, NVLink between nodes, GDRCopy."""
    patterns = ("infiniband/uverbs*", "infiniband/rdma_cm", "nvidia-caps-imex-channels/channel*", "gdrdrv")
    return [f"/dev/{path.relative_to(root / 'dev')}" for at in patterns for path in sorted((root / "dev").glob(at))]
