"""What this machine's apt knows: where packages come from, and how they are fetched."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# debootstrap fetches with wget. This takes wget's place, so that proxies, passwords and certificates are apt's.
_FETCHER = """#!/bin/sh
while [ $# -gt 3 ] && [ "$1" != -O ]; do shift; done
exec /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root download-file "$3" "$2"
"""
_INDEX_FORMAT = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL) $(SIGNED_BY)"


@dataclass(frozen=True)
class Mirror:
    """Where Debian's packages come from."""

    uri: str
    codename: str
    keyring: str | None


def mirror() -> Mirror | None:
    """Give the mirror of this machine's own release of Debian; None: apt has no such source."""
    wanted = ("Created-By: Packages", "Component: main")
    for line in _lines("apt-get", "indextargets", "--format", _INDEX_FORMAT, *wanted):
        uri, codename, _, label, *signed_by = line.split()
        if label == "Debian" and "-" not in codename:
            keyring = signed_by[0] if signed_by and signed_by[0].startswith("/") else None
            return Mirror(uri, codename, keyring)
    return None


def newest(package: str) -> str | None:
    """Give what `apt-get install PACKAGE` would take now, as `name_version`."""
    for line in _lines("apt-cache", "--quiet", "show", "--no-all-versions", package, may_fail=True):
        if line.startswith("Version: "):
            return f"{package}_{line.removeprefix('Version: ')}"
    return None


def only_dependency(package: str) -> str:
    """Give the package that a meta-package stands for."""
    lines = _lines("apt-cache", "depends", "--important", package)
    return next(line.split()[1] for line in lines if line.strip().startswith("Depends: "))


def download(package: str, folder: Path) -> Path:
    """Fetch a package without installing it; `folder` must hold no other."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package)
    subprocess.run(command, cwd=folder, check=True)
    return next(folder.glob("*.deb"))


def fetching_as_apt(folder: Path) -> dict[str, str]:
    """Give an environment in which debootstrap fetches through apt; `folder` takes the program for that."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "wget"
    program.write_text(_FETCHER)
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C"}


def _lines(*command: str, may_fail: bool = False) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=not may_fail)
    return done.stdout.splitlines()
