"""`dcd service`: what is to be installed or removed on this machine, and whether it may be."""

import os
import pwd
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from dcdaemon.admin.environment import ROOT, Environment, refuse_unfit, this_environment
from dcdaemon.admin.install import Site, install, remove
from dcdaemon.admin.layout import BMC, SENSORS, Layout, Texts, system_layout, user_layout
from dcdaemon.admin.systemd import RUNNING, Systemd
from dcdaemon.config.load import load
from dcdaemon.config.model import Config
from dcdaemon.core.errors import Refused
from dcdaemon.core.roles import Role

LINGER = Path("/var/lib/systemd/linger")
_SYSTEM_VARIABLES = Path("/etc/default/dcdaemon")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; `root` is the image of a machine, None this machine. `say` takes one line for each step."""

    texts: Texts
    say: Callable[[str], None]
    user: bool = False
    dry_run: bool = False
    root: Path | None = None
    environment: Environment = field(default_factory=this_environment)
    trusted: Collection[int] = ROOT


def install_service(wish: Wish) -> int:
    """Check, then install or upgrade; return how many things were changed.

    Raise Refused where it may not be, BadConfig for a configuration that the daemon would not take, StartFailed.
    """
    _refuse_wrong_user(wish)
    _refuse_without_systemd(wish)
    _refuse_without_manager(wish)
    if not wish.user:
        refuse_unfit(wish.environment, wish.trusted)
    changes = install(_layout(wish), wish.environment.programs, _site(wish))
    if wish.user and wish.root is None:
        _tell_of_linger(wish.say)
    return changes


def remove_service(wish: Wish, *, running: int, force: bool, purge: bool) -> int:
    """Remove what was installed; `running` is how many jobs the daemon knows. Raise Refused as `remove` does."""
    _refuse_wrong_user(wish)
    _refuse_without_systemd(wish)
    _refuse_without_manager(wish)
    return remove(_layout(wish), _site(wish), running=running, force=force, purge=purge)


def settings_of_service(root: Path) -> Config:
    """Return the configuration as the node's service sees it, not as the person who asks; raise BadConfig."""
    return load(_files_of(root), env={"HOME": "/root", **_variables(root)}, uid=0).config


def _variables(root: Path) -> dict[str, str]:
    """Return what systemd starts the service with, as far as it can be read."""
    try:
        text = (root / _SYSTEM_VARIABLES.relative_to("/")).read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in map(str.strip, text.splitlines()) if not line.startswith(("#", ";")))
    return {name.strip(): value.strip().strip("\"'") for name, equals, value in pairs if equals}


def _layout(wish: Wish) -> Layout:
    if wish.user:
        load()
        return user_layout(wish.environment.programs, wish.texts, os.environ)
    config = settings_of_service(wish.root or Path("/"))
    return system_layout(wish.environment.programs, wish.texts, config, _extras(config, wish.root))


def _files_of(root: Path) -> list[Path]:
    folder = root / "etc/dcdaemon"
    usual = (
        folder / "dcdaemon.toml",
        *sorted(folder.glob("conf.d/*.toml")),
        root / "root/.config/dcdaemon/config.toml",
    )
    return [path for path in usual if os.access(path, os.R_OK)]


def _extras(config: Config, root: Path | None) -> list[str]:
    """Return the timers that have something to do: their programs are there, and the node's roles want them."""
    usual = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(":")] if root is None else []
    folders = [*usual, *((root or Path("/")) / name for name in ("usr/bin", "usr/sbin", "sbin"))]
    path = ":".join(map(str, folders))
    sensors = shutil.which("smartctl", path=path) is not None
    bmc = shutil.which("ipmitool", path=path) is not None and Role.MANAGEMENT in config.node.roles
    return [SENSORS] * sensors + [BMC] * bmc


def _site(wish: Wish) -> Site:
    root = wish.root or Path("/")
    return Site(Systemd(user=wish.user, root=root), wish.say, root.absolute(), dry_run=wish.dry_run)


def _refuse_wrong_user(wish: Wish) -> None:
    if wish.user and os.geteuid() == 0:
        raise Refused("--user is for a person, and this is root", "run it as that person, without sudo")
    if not wish.user and os.geteuid() != 0 and not wish.dry_run:
        raise Refused(
            "only root can install or remove the service of the node",
            f"sudo {wish.environment.programs / 'dcd'} service ..., or add --user for a service of yours alone",
        )


def _refuse_without_systemd(wish: Wish) -> None:
    if wish.root is None and not RUNNING.is_dir():
        raise Refused(
            "systemd does not run this machine, so there is nothing to install a service into",
            "start the daemon by other means: dcd daemon run; jobs then run under the shim alone",
        )


def _refuse_without_manager(wish: Wish) -> None:
    if wish.user and wish.root is None and not Systemd(user=True).answers():
        user = pwd.getpwuid(os.geteuid()).pw_name
        raise Refused(
            "your own service manager does not answer",
            f"sudo loginctl enable-linger {user}, then log in by ssh (su and sudo do not reach it)",
        )


def _tell_of_linger(say: Callable[[str], None]) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    if not (LINGER / user).exists():
        say("warning: at your last logout the daemon and every job end")
        say(f"hint: loginctl enable-linger {user}")
