"""Python packages for the machine, which has no network: fetched and built here by pip."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_VERSION = REPOSITORY / "dcdaemon/__init__.py"
#: What a wheel is made from.
_SOURCES = ("dcdaemon", "systemd", "pyproject.toml", "README.md", "LICENSE")
#: Beside what the product needs: what runs its tests in there.
_FOR_TESTS = ("pytest", "hypothesis")
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_12_x86_64")


def needed() -> list[str]:
    """Give what is installed in the machine beside the product, as requirements."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *_FOR_TESTS]


def fetch(python_version: str, into: Path) -> None:
    """Fetch the wheels of all that is needed for another Python than ours, pinned as everywhere."""
    platforms = [f"--platform={name}" for name in _PLATFORMS]
    _pip("download", "--quiet", "--only-binary=:all:", f"--python-version={python_version}", *platforms,
         f"--constraint={REPOSITORY / 'constraints.txt'}", f"--dest={into}", *needed())  # fmt: skip


def product(into: Path, version: str | None = None) -> Path:
    """Build the product's wheel from the working tree, under another version where one is given."""
    source = into / "source"
    for name in _SOURCES:
        origin, copy = REPOSITORY / name, source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(origin, copy)
    if version is not None:
        init = source / _VERSION.relative_to(REPOSITORY)
        init.write_text(re.sub(r'(__version__ = )"[^"]*"', rf'\1"{version}"', init.read_text()))
    _pip("wheel", "--quiet", "--no-deps", f"--wheel-dir={into}", str(source))
    shutil.rmtree(source)
    return next(into.glob("dcdaemon-*.whl"))


def _pip(*arguments: str) -> None:
    subprocess.run((sys.executable, "-m", "pip", *arguments), check=True)
