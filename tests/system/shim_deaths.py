"""A shim, or the fork-server, dies at a named step of a job's life: what must have become of the job."""

from collections.abc import Callable

from system import crash_points, deadly_shims
from system.daemon_process import Site, until

SLOW_S = 0.3


def live_through_death(new_site: Callable[..., Site], step: str, *, daemon_dies_too: bool) -> None:
    """Have the first shim die there, and the daemon at the same time or not; judge that job and two later ones."""
    site = new_site()
    site.start(crash_at=crash_points.SHIM + step)
    victim = site.submit(code=3, sleep_s=SLOW_S)
    until((site.path / "deadly-once").exists, "the death")
    if daemon_dies_too:
        site.restart()
    others = [site.submit(code=0, gpus=8), site.submit(code=3)]
    lost = step in deadly_shims.NOT_LET_GO | deadly_shims.RUNNING
    site.judge({victim: 3, others[0]: 0, others[1]: 3}, lost=[victim] if lost else ())
    if lost:
        assert site.runs()[f"{victim}.1"] == (step in deadly_shims.RUNNING)
