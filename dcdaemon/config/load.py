"""Loads the configuration: defaults, system files, the user's file, environment, flags; the last one wins."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dcdaemon.config.families import sections, setting_named
from dcdaemon.config.model import FAMILIES, SECTIONS, SETTINGS, Config, ObjectStore
from dcdaemon.config.secrets import MASK, masked
from dcdaemon.config.setting import Setting, settings_of
from dcdaemon.config.sharing import refuse_contradictions
from dcdaemon.config.snmp import SnmpUser, refuse_strangers
from dcdaemon.config.sources import Found, default_paths, from_env, from_file, from_flags, unknown
from dcdaemon.config.values import SECRET_FILE
from dcdaemon.core.errors import BadConfig, BadInput

DEFAULT = "default"
#: The kernel keeps this many bytes for the path of a socket, its closing zero included.
_SOCKET_PATH_BYTES = 108


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration, where each setting came from, and what was odd but harmless.

    `raw` holds the values as they were written; `paths` are the files that were read.
    """

    config: Config
    origins: dict[str, str]
    raw: dict[str, Any]
    warnings: tuple[str, ...] = ()
    paths: tuple[Path, ...] = field(default=())


def load(
    paths: Sequence[Path] | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    uid: int | None = None,
) -> Loaded:
    """Return the configuration; `paths` replaces the usual files, `flags` are by name ("daemon.tcp").

    Raise BadConfig for a file that cannot be used and for a wrong value; an unknown key only warns.
    """
    env = os.environ if env is None else env
    uid = os.geteuid() if uid is None else uid
    # A usual file may be absent or not for this user to read; one that was named must be there.
    read = list(paths) if paths is not None else [path for path in default_paths(env) if os.access(path, os.R_OK)]
    found = [one for path in read for one in from_file(path)] + from_env(env) + from_flags(flags or {})
    named = sections(one.name for one in found)
    settings = SETTINGS | {one.name: one for section, cls in named.items() for one in settings_of(section, cls)}
    winners = {one.name: one for one in found if one.name in settings}
    config = _resolved(_build(winners, named), env, uid)
    refuse_contradictions(config.queues, config.accounts)
    refuse_strangers(config.snmp, config.snmp_users)
    return Loaded(
        config=config,
        origins={name: winners[name].origin if name in winners else DEFAULT for name in settings},
        raw={name: winners[name].raw if name in winners else _value(config, one) for name, one in settings.items()},
        warnings=tuple(_warnings(found)),
        paths=tuple(read),
    )


def check(
    paths: Sequence[Path] | None = None,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    uid: int | None = None,
) -> Loaded:
    """Load strictly: raise BadConfig for an unknown key too."""
    loaded = load(paths, env, flags, uid)
    if loaded.warnings:
        raise BadConfig("; ".join(loaded.warnings), "dcd config show lists every setting")
    return loaded


def _build(winners: Mapping[str, Found], named: Mapping[str, type]) -> Config:
    """Return the tree; `named` are the sections of families that are there."""
    values: dict[str, dict[str, Any]] = {section: {} for section in (*SECTIONS, *named)}
    for name, found in winners.items():
        setting = setting_named(name)
        assert setting is not None  # noqa: S101  only known settings win
        values[setting.section][setting.attribute] = _read(setting, found)
    tree: dict[str, Any] = {section: cls(**values[section]) for section, cls in SECTIONS.items()}
    tree |= {family: {} for family in FAMILIES}
    for section, cls in named.items():
        family, _, name = section.partition(".")
        tree[family][name] = cls(**values[section])
    return Config(**tree)


def _read(setting: Setting, found: Found) -> Any:
    try:
        return setting.kind.read(found.raw)
    except BadInput as error:
        raw = MASK if setting.kind is SECRET_FILE else masked(found.raw)
        raise BadConfig(f"{found.origin}: {setting.name} = {raw!r} {error.message}", error.hint) from error


def _resolved(config: Config, env: Mapping[str, str], uid: int) -> Config:
    home = env.get("HOME", "")
    state_dir = _at_home(config.daemon.state_dir, home) or (
        "/var/lib/dcdaemon" if uid == 0 else f"{env.get('XDG_STATE_HOME') or f'{home}/.local/state'}/dcdaemon"
    )
    socket = _at_home(config.daemon.socket, home) or _default_socket(state_dir, env, uid)
    if len(os.fsencode(socket)) >= _SOCKET_PATH_BYTES:
        raise BadConfig(
            f"daemon.socket = {socket!r} is longer than the kernel's {_SOCKET_PATH_BYTES - 1} bytes",
            "set daemon.socket to a shorter path",
        )
    store = config.object_store
    storage = replace(
        config.storage,
        url=config.storage.url or f"sqlite:///{state_dir}/dcdaemon.db",
        backup_dir=_at_home(config.storage.backup_dir, home),
        backup_key_file=_at_home(config.storage.backup_key_file, home),
    )
    return replace(
        config,
        node=replace(config.node, name=config.node.name or os.uname().nodename),
        daemon=replace(config.daemon, state_dir=state_dir, socket=socket),
        storage=storage,
        snmp=replace(config.snmp, community_file=_at_home(config.snmp.community_file, home)),
        snmp_users={name: _user_at_home(user, home) for name, user in config.snmp_users.items()},
        object_store=_complete(replace(store, secret_file=_at_home(store.secret_file, home))),
    )


def _user_at_home(user: SnmpUser, home: str) -> SnmpUser:
    files = _at_home(user.authentication_file, home), _at_home(user.privacy_file, home)
    return replace(user, authentication_file=files[0], privacy_file=files[1])


def _complete(store: ObjectStore) -> ObjectStore:
    """Refuse an object store that is only half described."""
    for key in ("bucket", "region", "access_key", "secret_file"):
        if store.endpoint and not getattr(store, key):
            raise BadConfig(f"object_store.{key} is not set", "set it, or take out object_store.endpoint")
    return store


def _default_socket(state_dir: str, env: Mapping[str, str], uid: int) -> str:
    if uid == 0:
        return "/run/dcdaemon/dcd.sock"
    runtime_dir = env.get("XDG_RUNTIME_DIR")
    return f"{runtime_dir}/dcdaemon.sock" if runtime_dir else f"{state_dir}/dcd.sock"


def _at_home(path: str, home: str) -> str:
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def _value(config: Config, setting: Setting) -> Any:
    if setting.section not in SECTIONS:
        return setting.default
    # What was filled in at loading is worth more to a reader than the empty default.
    resolved = getattr(getattr(config, setting.section), setting.attribute)
    return resolved if setting.default == "" and resolved is not None else setting.default


def _warnings(found: Iterable[Found]) -> Iterable[str]:
    for one, meant in unknown(found):
        hint = f"; did you mean {meant}?" if meant else ""
        yield f"{one.origin}: unknown setting {one.name}{hint}"
