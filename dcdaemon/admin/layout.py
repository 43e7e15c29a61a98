"""What an installation puts where, for a shared node and for one person's machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dcdaemon.admin.shipped import shipped, unit_text
from dcdaemon.config.model import Config

SERVICE = "dcdaemon.service"
SENSORS, BMC, POWER = "dcdaemon-sensors.timer", "dcdaemon-bmc.timer", "dcdaemon-power.service"
_SYSTEM_UNITS = (
    SERVICE, "dcdaemon.slice", "dcdaemon-jobs.slice", "dcdaemon-sensors.service", SENSORS,
    "dcdaemon-bmc.service", BMC, POWER,
)  # fmt: skip
_USER_UNITS = {SERVICE: "dcdaemon-user.service", "dcdaemon.slice": "", "dcdaemon-jobs.slice": ""}
#: Where a completion of each shell is looked for, below the folder of shared data.
_COMPLETIONS = {
    "bash": "bash-completion/completions/dcd",
    "zsh": "zsh/site-functions/_dcd",
    "fish": "fish/vendor_completions.d/dcd.fish",
}
_SYSTEM_STATE, _SYSTEM_SOCKET = Path("/var/lib/dcdaemon"), Path("/run/dcdaemon")
_SYSTEM_RUN = ("/run/dcdaemon", "/run/dcdaemon-sensors", "/run/dcdaemon-power")


@dataclass(frozen=True, slots=True)
class Texts:
    """What is made from the commands themselves: completion scripts by shell, and the man page."""

    completions: Mapping[str, str] = field(default_factory=dict)
    man: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file, or with `link` a link to `text`; an `example` is the operator's from the moment it is there."""

    path: Path
    text: str
    mode: int = 0o644
    link: bool = False
    example: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """One installation: its files, the record of them, the data beside, and what systemd is told.

    `stopped` are the units that a removal ends; never a slice, because jobs are in it. A `sandboxed` daemon has no
    jobs among its children.
    """

    pieces: tuple[Piece, ...]
    manifest: Path
    data: tuple[Path, ...]
    enabled: tuple[str, ...]
    stopped: tuple[str, ...]
    sysusers: Path | None = None
    tmpfiles: Path | None = None
    sandboxed: bool = False


def system_layout(programs: Path, texts: Texts, config: Config, extra: Sequence[str] = ()) -> Layout:
    """Return what a shared node gets; `extra` units are enabled beside the service."""
    units, share = Path("/etc/systemd/system"), Path("/usr/local/share")
    sysusers, tmpfiles = Path("/etc/sysusers.d/dcdaemon.conf"), Path("/etc/tmpfiles.d/dcdaemon.conf")
    pieces = [Piece(units / name, unit_text(name, programs)) for name in _SYSTEM_UNITS]
    if beyond := outside(config):
        pieces.append(Piece(units / f"{SERVICE}.d" / "10-paths.conf", _writable(beyond)))
    pieces += [
        Piece(sysusers, shipped("dcdaemon.sysusers")),
        Piece(tmpfiles, shipped("dcdaemon.tmpfiles")),
        Piece(Path("/etc/default/dcdaemon"), shipped("dcdaemon.default"), 0o600, example=True),
        *_commands(Path("/usr/local/bin"), programs),
        *_texts(share, share / "man", texts),
    ]
    return Layout(
        pieces=tuple(pieces), manifest=_SYSTEM_STATE / "installed.json",
        data=(Path(config.daemon.state_dir), _SYSTEM_STATE, Path("/etc/dcdaemon"), *map(Path, _SYSTEM_RUN)),
        enabled=(SERVICE, *extra), sysusers=sysusers, tmpfiles=tmpfiles,
        sandboxed=True,
        stopped=tuple(unit for unit in _SYSTEM_UNITS if not unit.endswith(".slice")),
    )  # fmt: skip


def user_layout(programs: Path, texts: Texts, environment: Mapping[str, str]) -> Layout:
    """Return what one person gets, below the folders that `environment` (HOME, XDG_*) names."""
    home = Path(environment["HOME"])
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    share = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    state = Path(environment.get("XDG_STATE_HOME") or home / ".local/state") / "dcdaemon"
    units = config / "systemd/user"
    pieces = [Piece(units / name, unit_text(source or name, programs)) for name, source in _USER_UNITS.items()]
    pieces += [*_commands(home / ".local/bin", programs), *_texts(share, share / "man", texts)]
    return Layout(
        pieces=tuple(pieces), manifest=state / "installed.json", data=(state, config / "dcdaemon"),
        enabled=(SERVICE,), stopped=(SERVICE,),
    )  # fmt: skip


def _commands(folder: Path, programs: Path) -> list[Piece]:
    """Return links by which people find the commands; none where the programs are there already."""
    names = () if programs == folder else ("dcd", "dcdaemon")
    return [Piece(folder / name, str(programs / name), link=True) for name in names]


def _texts(share: Path, man: Path, texts: Texts) -> list[Piece]:
    pieces = [Piece(share / _COMPLETIONS[shell], text) for shell, text in texts.completions.items()]
    return [*pieces, Piece(man / "man1/dcd.1", texts.man)] if texts.man else pieces


def outside(config: Config) -> list[Path]:
    """Return the folders the daemon writes to that its unit does not give it by itself."""
    sqlite = config.storage.url.removeprefix("sqlite:///")
    wanted = {Path(config.daemon.state_dir), Path(config.daemon.socket).parent}
    wanted |= {Path(sqlite).parent} if sqlite != config.storage.url else set()
    wanted |= {Path(config.storage.backup_dir)} if config.storage.backup_dir else set()
    given = {_SYSTEM_STATE, _SYSTEM_SOCKET}
    return sorted(path for path in wanted if path.is_absolute() and not given & {path, *path.parents})


def _writable(paths: Sequence[Path]) -> str:
    lines = [f'ReadWritePaths="-{str(path).replace("%", "%%")}"' for path in paths]
    head = "# Made by `dcd service install` from daemon.state_dir, daemon.socket, storage.url and storage.backup_dir."
    return "\n".join([head, "", "[Service]", *lines, ""])
