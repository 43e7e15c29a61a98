"""Rules on the driver, the GPUs and the filesystems."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from dcdaemon.anomalies.picture import NodePicture, Sign
from dcdaemon.core.gpu import GpuInfo
from dcdaemon.core.samples import FilesystemSample
from dcdaemon.core.units import format_bytes, format_duration

#: A full filesystem counts as well again this much below the threshold, so that it does not flap around it.
FILESYSTEM_HYSTERESIS_RATIO = 0.02


def driver_missing(picture: NodePicture, _open: AbstractSet[str]) -> Iterator[Sign]:
    """Find a node that should have GPUs and has no driver to ask."""
    if not picture.expected_driver or picture.gpus or picture.driver_error is None:
        return
    message = f"no NVIDIA driver on {picture.node}: {picture.driver_error}; only the host is watched"
    yield Sign("driver", message, {"driver_error": picture.driver_error})


def gpu_lost(picture: NodePicture, _open: AbstractSet[str]) -> Iterator[Sign]:
    """Find GPUs that the driver knew and no longer reaches."""
    for gpu in picture.gpus:
        if gpu.index not in picture.lost:
            continue
        holder = picture.allocations.get(gpu.index)
        held = f"; job {holder.job_id} ({holder.name}) of {holder.user} holds it" if holder else ""
        message = f"gpu {gpu.index} ({gpu.name}) is lost: the driver no longer reaches it{held}"
        evidence: dict[str, object] = {
            "uuid": gpu.uuid,
            "pci_bus_id": gpu.pci_bus_id,
            "user": holder.user if holder else None,
            "driver_error": picture.driver_error,
        }
        yield Sign(f"gpu {gpu.index}", message, evidence, holder.job_id if holder else None, gpu.index)


def sample_stale(picture: NodePicture, _open: AbstractSet[str]) -> Iterator[Sign]:
    """Find GPUs whose newest sample is old; a lost one is told of by its own rule."""
    for gpu in picture.gpus:
        sign = None if gpu.index in picture.lost else _stale(picture, gpu)
        if sign is not None:
            yield sign


def _stale(picture: NodePicture, gpu: GpuInfo) -> Sign | None:
    sample = picture.samples.get(gpu.index)
    limit_s = picture.thresholds.stale_after_s
    age_s = picture.sample_ages_s.get(gpu.index) if sample is None else picture.monotonic_s - sample.monotonic_s
    if age_s is not None and age_s <= limit_s:
        return None
    since = "has never been sampled" if age_s is None else f"was last sampled {format_duration(age_s)} ago"
    why = f": {picture.driver_error}" if picture.driver_error else ""
    evidence: dict[str, object] = {
        "sample_age_s": age_s,
        "stale_after_s": limit_s,
        "driver_error": picture.driver_error,
    }
    return Sign(f"gpu {gpu.index}", f"gpu {gpu.index} {since}{why}", evidence, gpu=gpu.index)


def filesystem_full(picture: NodePicture, open_: AbstractSet[str]) -> Iterator[Sign]:
    """Find filesystems that are nearly full, or that do not answer."""
    full_ratio = picture.thresholds.filesystem_full_ratio
    for filesystem in picture.filesystems:
        if filesystem.error is not None:
            yield _silent(filesystem, filesystem.error)
            continue
        hysteresis = FILESYSTEM_HYSTERESIS_RATIO if filesystem.mount in open_ else 0.0
        used_ratio = filesystem.used_ratio
        # An image mounted read-only (squashfs, ISO 9660) is always full, and nothing can fill it further.
        if used_ratio is not None and used_ratio >= full_ratio - hysteresis and not filesystem.read_only:
            yield _full(filesystem, used_ratio, full_ratio)


def _silent(filesystem: FilesystemSample, error: str) -> Sign:
    message = f"{filesystem.mount} ({filesystem.fstype}) does not answer: {error}"
    return Sign(filesystem.mount, message, {"fstype": filesystem.fstype, "error": error})


def _full(filesystem: FilesystemSample, used_ratio: float, full_ratio: float) -> Sign:
    left = format_bytes(filesystem.available_bytes)
    # Cut, not rounded: "100 % full" with room left would be a lie.
    message = f"{filesystem.mount} is {int(used_ratio * 100)} % full: {left} left"
    evidence: dict[str, object] = {
        "used_ratio": round(used_ratio, 4),
        "full_ratio": full_ratio,
        "available_bytes": filesystem.available_bytes,
        "size_bytes": filesystem.size_bytes,
        "fstype": filesystem.fstype,
    }
    return Sign(filesystem.mount, message, evidence)
