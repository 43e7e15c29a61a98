"""Installs and removes the service: what has to be true first, then each step in its order."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dcdaemon import __version__
from dcdaemon.admin.hands import Hands
from dcdaemon.admin.layout import SERVICE, Layout
from dcdaemon.admin.manifest import Manifest, read_manifest
from dcdaemon.admin.systemd import Systemd
from dcdaemon.core.errors import Refused, StartFailed

_UNIT_ENDINGS = (".service", ".slice", ".timer", ".conf")


@dataclass(frozen=True, slots=True)
class Site:
    """Where it is done and by what means; `say` gets one line for each change."""

    systemd: Systemd
    say: Callable[[str], None]
    root: Path = Path("/")
    dry_run: bool = False

    def hands(self) -> Hands:
        """Return what changes files there."""
        return Hands(self.say, root=self.root, dry_run=self.dry_run)


def install(layout: Layout, programs: Path, site: Site) -> int:
    """Install or upgrade, wait until the service is ready, and return how many things were changed.

    Raise Refused when a file cannot be written or jobs would end with the old unit, StartFailed when systemd cannot do
    its part; done a second time it goes on where it stopped.
    """
    hands = site.hands()
    _refuse_to_end_jobs(layout, site.systemd)
    manifest = read_manifest(hands.at(layout.manifest)) or Manifest()
    upgraded = (manifest.version, manifest.programs) not in {("", ""), (__version__, str(programs))}
    wanted = {str(piece.path) for piece in layout.pieces}
    stale = [path for path in manifest.files if path not in wanted]
    try:
        changed = {path for path in stale if hands.take_away(path, manifest)}
        changed |= {str(piece.path) for piece in layout.pieces if hands.put(piece, manifest)}
        manifest.version, manifest.programs = __version__, str(programs)
    finally:
        # Also of half an installation: it can be removed.
        hands.write_record(layout.manifest, manifest)
    _settle(layout, site.systemd, hands, changed)
    _start(layout, site.systemd, hands, anew=upgraded or any(_is_of_service(path) for path in changed))
    return hands.changes


def _refuse_to_end_jobs(layout: Layout, systemd: Systemd) -> None:
    """Raise Refused while jobs are children of the daemon's unit: the unit of today takes such along at its end."""
    within = systemd.jobs_within(SERVICE) if layout.sandboxed else set()
    if within:
        jobs = ", ".join(sorted(within, key=int))
        raise Refused(
            f"inside the daemon's unit, as an earlier version started them, run jobs {jobs}: they would be killed",
            "hold the queue (dcd hold all) and install when they have ended; nothing was changed",
        )


def _settle(layout: Layout, systemd: Systemd, hands: Hands, changed: set[str]) -> None:
    """Let systemd learn what is new: accounts, directories, units."""
    made = [path for path in (layout.sysusers, layout.tmpfiles) if path is not None and str(path) in changed]
    if made:
        hands.tell(f"create the accounts and directories of {', '.join(map(str, made))}")
        if not hands.dry_run:
            of = {path: hands.at(path) for path in made}
            systemd.make(of.get(layout.sysusers or Path()), of.get(layout.tmpfiles or Path()))
    if systemd.live and any(path.endswith(_UNIT_ENDINGS) and "systemd" in path for path in changed):
        hands.tell("let systemd read its units again")
        if not hands.dry_run:
            systemd.reread()
    for unit in layout.enabled:
        if not systemd.is_enabled(unit):
            hands.tell(f"enable {unit}")
            if not hands.dry_run:
                systemd.enable(unit)


def _start(layout: Layout, systemd: Systemd, hands: Hands, *, anew: bool) -> None:
    """Start what does not run, and the service anew when it has changed: its jobs go on."""
    for unit in layout.enabled if systemd.live else ():
        active = systemd.is_active(unit)
        if active and not (anew and unit == SERVICE):
            continue
        hands.tell(f"{'restart' if active else 'start'} {unit}")
        if hands.dry_run:
            continue
        systemd.start(unit, "restart" if active else "start")
        if not systemd.is_active(unit):
            raise StartFailed(f"{unit} has started and ended again", "journalctl -u dcdaemon -n 50 tells why")


def _is_of_service(path: str) -> bool:
    return path.endswith(f"/{SERVICE}") or f"/{SERVICE}.d/" in path


def remove(layout: Layout, site: Site, *, running: int, force: bool = False, purge: bool = False) -> int:
    """Stop the service and take away what the installation put in place, and no more; returns what was changed.

    `running` is how many jobs the daemon knows. Raise Refused when nothing is installed, and when jobs run: with
    `force` they go on, and a daemon installed later adopts them. `purge` takes data and configuration, too.
    """
    hands = site.hands()
    manifest = read_manifest(hands.at(layout.manifest))
    if manifest is None:
        raise Refused(f"nothing is installed here: there is no {layout.manifest}", "dcd service install")
    _refuse_while_jobs_run(max(running, len(site.systemd.jobs())), force=force, purge=purge)
    for unit in layout.stopped:
        if site.systemd.is_enabled(unit) or site.systemd.is_active(unit):
            hands.tell(f"stop and disable {unit}")
            if not hands.dry_run:
                site.systemd.disable(unit)
    for path in list(manifest.files):
        hands.take_away(path, manifest)
    hands.take_folders(manifest)
    if site.systemd.live and not hands.dry_run:
        site.systemd.reread()
    hands.purge(layout.manifest)
    for data in layout.data if purge else ():
        hands.purge(data)
    return hands.changes


def _refuse_while_jobs_run(count: int, *, force: bool, purge: bool) -> None:
    if not count or (force and not purge):
        return
    jobs = "a job runs" if count == 1 else f"{count} jobs run"
    if purge:
        raise Refused(f"{jobs} out of a directory that is among the data", "dcd cancel all -y, then purge")
    raise Refused(
        f"{jobs}, and without the daemon nobody notes what becomes of it",
        "dcd cancel all -y ends what runs; with --force it goes on, and a service installed later adopts it",
    )
