"""A machine's files below a folder, and a systemctl that notes what it is told and answers accordingly."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dcdaemon.admin.install import Site, install, remove
from dcdaemon.admin.layout import Layout, Texts, system_layout
from dcdaemon.admin.systemd import Systemd
from dcdaemon.config.load import load

#: Knows which units are enabled and active, as systemd does; one that is `broken` does not come up.
_SYSTEMCTL = r"""#!/bin/sh
cd {place} || exit 9
name=${{0##*/}} line="${{0##*/}} $*"
while case "$1" in --*) true;; *) false;; esac; do shift; done
verb=$1
[ $# -eq 0 ] || shift
case "$name $verb" in
"systemctl is-enabled") [ -e "enabled/$1" ]; exit;;
"systemctl is-active") [ -e "active/$1" ]; exit;;
"systemctl show") cat group 2>/dev/null; exit 0;;
"systemctl list-units")
    for job in jobs/*; do [ ! -e "$job" ] || echo "${{job#jobs/}} loaded active running A job"; done
    exit;;
esac
echo "$line" >> told
for unit in "$@"; do
    case "$verb $unit" in
    "disable "--*) ;;
    "enable "*) : > "enabled/$unit";;
    "disable "*) rm -f "enabled/$unit" "active/$unit";;
    "start "*|"restart "*)
        [ ! -e "broken/$unit" ] || {{ echo "Job for $unit failed." >&2; exit 1; }}
        : > "active/$unit";;
    esac
done
"""


@dataclass
class Machine:
    """A machine at `root`; `said` is what the steps said."""

    root: Path
    book: Path
    programs: Path = Path("/opt/dcdaemon/bin")
    said: list[str] = field(default_factory=list)

    def known(self, **units: list[str]) -> None:
        """Change what systemd knows: units that are enabled, active, broken, and those of jobs."""
        for state, names in units.items():
            for file in (self.book / state).iterdir():
                file.unlink()
            for name in names:
                (self.book / state / name).touch()

    def told(self) -> list[str]:
        """Return what systemd was told since the last look."""
        place = self.book / "told"
        told = place.read_text().splitlines()
        place.write_text("")
        return told

    def layout(self, texts: Texts | None = None, flags: dict[str, object] | None = None, extra: tuple[str, ...] = ()):
        """Return what the service of this machine consists of."""
        config = load([], env={"HOME": "/root"}, flags=flags or {}, uid=0).config
        return system_layout(self.programs, texts or Texts({"bash": "complete\n"}, ".TH DCD 1\n"), config, extra)

    def install(self, layout: Layout | None = None, *, dry_run: bool = False) -> int:
        """Install, and return how much was changed."""
        return install(layout or self.layout(), self.programs, self._site(dry_run=dry_run))

    def remove(self, *, running: int = 0, dry_run: bool = False, **how: bool) -> int:
        """Remove, and return how much was changed."""
        return remove(self.layout(), self._site(dry_run=dry_run), running=running, **how)

    def file(self, path: str) -> Path:
        """Return where a path of the machine is."""
        return self.root / path.lstrip("/")

    def files(self) -> dict[str, str]:
        """Return all files and links with their content."""
        found = (path for path in sorted(self.root.rglob("*")) if path.is_symlink() or path.is_file())
        return {
            f"/{path.relative_to(self.root)}": str(path.readlink()) if path.is_symlink() else path.read_text()
            for path in found
        }

    def _site(self, *, dry_run: bool) -> Site:
        self.said.clear()
        # systemd is told of the machine that runs; only the files are those below the folder.
        return Site(Systemd(), self.said.append, self.root, dry_run=dry_run)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    book, programs = tmp_path / "known", tmp_path / "programs"
    for state in ("enabled", "active", "broken", "jobs"):
        (book / state).mkdir(parents=True)
    (book / "told").touch()
    programs.mkdir()
    for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles"):
        program = programs / name
        program.write_text(_SYSTEMCTL.format(place=book))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    root = tmp_path / "machine"
    root.mkdir()
    return Machine(root, book)
