"""The fake's own page names everything that a test can set."""

import re
from pathlib import Path

import fake_nvml.fake_driver

FOLDER = Path(fake_nvml.fake_driver.__file__).parent
PAGE = (FOLDER / "README.md").read_text()
NAMED = set(re.findall(r"`([\w.<>]+)`", PAGE))


def keys(source: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (FOLDER / "source" / source).read_text()))


def test_every_key_that_a_gpu_can_have_is_named():
    known = keys("defaults.c", r'\{"([a-z]\w+)", [A-Z{]')
    assert len(known) > 100
    assert known - NAMED - {"handle", "fields", "memory"} == set()


def test_every_key_of_the_driver_is_named():
    known = {key for path in (FOLDER / "source").glob("*.c") for key in keys(path.name, r'driver_number\("(\w+)"')}
    assert {"count", "reload", "init_error"} <= known
    assert known - NAMED == set()


def test_every_profile_has_its_row():
    (names,) = keys("defaults.c", r"profiles\[PROFILES\] = \{(.*)\};")
    assert set(re.findall(r'"(\w+)"', names)) == set(re.findall(r"^\| `(\w+)` \| [NT]", PAGE, re.MULTILINE))
