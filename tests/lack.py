"""What a test needs and a machine may lack: such a test is skipped, but fails where CI=true installs everything."""

import os
import shutil
from typing import NoReturn

import pytest


def missing(why: str) -> NoReturn:
    """Skip the test, or fail where CI=true; say what to install."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def program(name: str, package: str | None = None) -> str:
    """Return the path of a program that a package of Debian brings, one of its own name where none is given."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    return found or missing(f"{name} is not installed: apt-get install {package or name}")
