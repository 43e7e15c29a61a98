"""Where settings come from: files, environment and flags, each read into raw values with their origin."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcdaemon.config.families import flattened, is_known, is_section
from dcdaemon.config.model import FAMILIES, SECTIONS, SETTINGS
from dcdaemon.config.setting import Setting, settings_of
from dcdaemon.core.errors import BadConfig

SYSTEM_FILE = Path("/etc/dcdaemon/dcdaemon.toml")
SYSTEM_DROP_INS = Path("/etc/dcdaemon/conf.d")
_PREFIX = "DCD_"


@dataclass(frozen=True, slots=True)
class Found:
    """One raw value: the setting it is for, and where it stood; the name of a section alone says that there is one."""

    name: str
    raw: Any
    origin: str


def default_paths(env: Mapping[str, str]) -> list[Path]:
    """Return the files that are read when none is named, weakest first; they need not exist."""
    home = env.get("XDG_CONFIG_HOME") or f"{env.get('HOME', '~')}/.config"
    drop_ins = sorted(SYSTEM_DROP_INS.glob("*.toml"))
    return [SYSTEM_FILE, *drop_ins, Path(home, "dcdaemon", "config.toml").expanduser()]


def from_file(path: Path) -> list[Found]:
    """Read one file; raise BadConfig when it cannot be read or is not TOML."""
    import tomllib  # noqa: PLC0415  most commands find no file and need not load the parser

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{path} cannot be read: {error.strerror}", "name another with --config") from error
    except UnicodeDecodeError as error:
        raise BadConfig(
            f"{path} is not text in UTF-8 (byte {error.start})", "write it anew: dcd config init"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(f"{path} is not valid TOML: {error}", "text goes in quotes, sections in brackets") from error
    return list(_flatten(document, path))


def from_env(env: Mapping[str, str]) -> list[Found]:
    """Return what variables like DCD_GPUS__POLL_INTERVAL set."""
    found = []
    for variable in sorted(env):
        section, separator, key = variable.removeprefix(_PREFIX).partition("__")
        if variable.startswith(_PREFIX) and separator:
            found.append(Found(f"{section}.{_key_of(section, key)}".lower(), env[variable], variable))
    return found


def _key_of(section: str, key: str) -> str:
    """Return the key that a variable names; in a family it is behind the section's own name: DCD_QUEUES__A__GPUS."""
    return key.replace("__", ".", 1) if section.lower() in FAMILIES else key


def from_flags(flags: Mapping[str, object]) -> list[Found]:
    """Return what the command line set; None means that a flag was not given."""
    return [Found(name, raw, "command line") for name, raw in flags.items() if raw is not None]


def unknown(found: Iterable[Found]) -> Iterator[tuple[Found, str | None]]:
    """Yield what sets no known setting, with the setting that may have been meant."""
    for one in found:
        if not is_known(one.name):
            yield one, _meant(one.name)


def _meant(name: str) -> str | None:
    """Return what may be meant: a key like it in its section, the same key in another one, any name like it."""
    import difflib  # noqa: PLC0415  only a typo needs it

    section, _, key = name.rpartition(".")
    keys = {one.key: one.name for one in _settings_in(section)}
    near = [keys[close] for close in difflib.get_close_matches(key, keys, n=1)]
    if not is_section(section):
        near += [known for known, setting in SETTINGS.items() if setting.key == key]
        near += difflib.get_close_matches(name, SETTINGS, n=1)
        near += [f"{family}.{key}" for family in difflib.get_close_matches(section, FAMILIES, n=1)]
    return next(iter(near), None)


def _settings_in(section: str) -> Iterator[Setting]:
    cls = FAMILIES[section.partition(".")[0]] if is_section(section) else SECTIONS.get(section)
    return iter(()) if cls is None else settings_of(section, cls)


def _flatten(document: Mapping[str, Any], path: Path) -> Iterator[Found]:
    for section, table in document.items():
        if section in FAMILIES:
            yield from (Found(name, raw, str(path)) for name, raw in flattened(section, table, str(path)))
            continue
        if section in SECTIONS and not isinstance(table, dict):
            raise BadConfig(
                f"{path}: {section} = {table!r} is not a section", f"write [{section}] on a line of its own"
            )
        if not isinstance(table, dict):
            yield Found(section, table, str(path))
            continue
        for key, raw in table.items():
            yield Found(f"{section}.{key}", raw, str(path))
