"""Nobody but root may change what a service of root runs, by whatever way."""

import os
from pathlib import Path

import pytest

from dcdaemon.admin.environment import Environment, added_by, refuse_unfit, this_environment, weaknesses
from dcdaemon.core.errors import Refused

#: The tests may run as anybody; what root is to a service, that user is to them.
US = frozenset({0, os.getuid()})


@pytest.fixture
def environment(tmp_path):
    base = tmp_path / "opt"
    for folder in ("bin", "lib/site-packages/dcdaemon", "lib/site-packages/click"):
        (base / folder).mkdir(parents=True)
    files = ("bin/dcd", "bin/python3", "lib/site-packages/dcdaemon/main.py", "lib/site-packages/click/core.py")
    for name in files:
        (base / name).write_text("")
    (base / "bin/python").symlink_to("python3")
    for path in (base, *base.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return Environment(base / "bin", base / "bin/python", (base / "lib/site-packages",))


def weak(environment, trusted=US):
    return [str(weakness.path) for weakness in weaknesses(environment, trusted)]


def test_an_environment_that_is_roots_alone_is_taken(environment):
    assert weak(environment) == []


@pytest.mark.parametrize(
    "place",
    [".", "bin", "bin/python3", "bin/dcd", "lib", "lib/site-packages", "lib/site-packages/click",
     "lib/site-packages/click/core.py"],
)  # fmt: skip
@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_place_that_everybody_may_write_to_is_found_on_the_way_and_deep_within(environment, place, mode):
    path = environment.programs.parent / place
    path.chmod(mode)
    assert str(path.resolve()) in weak(environment)
    with pytest.raises(Refused, match="may be written by everybody, so whoever may write there would be root"):
        refuse_unfit(environment, US)


def test_what_belongs_to_a_user_is_refused_by_name(environment):
    nobody_is_trusted = frozenset({0}) if os.getuid() else frozenset({12345})
    with pytest.raises(Refused, match="belongs to") as refusal:
        refuse_unfit(environment, nobody_is_trusted)
    assert "python3 -m venv /opt/dcdaemon" in str(refusal.value.hint)


def test_a_group_other_than_roots_may_not_write_either(environment):
    path = environment.programs / "dcd"
    path.chmod(0o775)
    if os.getuid() == 0:
        assert weak(environment) == []
        os.chown(path, -1, 12345)
        path.chmod(0o775)
    [weakness] = weaknesses(environment, US)
    assert (weakness.path, weakness.why.startswith("may be written by the group ")) == (path, True)


def test_a_link_is_followed_to_where_the_code_really_is(environment, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "python3").write_text("")
    elsewhere.chmod(0o777)
    (environment.programs / "python").unlink()
    (environment.programs / "python").symlink_to(elsewhere / "python3")
    assert str(elsewhere) in weak(environment)
    (environment.programs / "python").unlink()
    (environment.programs / "python").symlink_to("python3")
    (environment.code[0] / "linked").symlink_to(elsewhere)
    assert weak(environment) == [str(elsewhere)]


def test_a_folder_with_the_sticky_bit_lets_nobody_replace_what_is_anothers(environment):
    environment.programs.parent.chmod(0o1777)
    assert weak(environment) == []
    (environment.programs / "dcd").chmod(0o757)
    assert weak(environment) == [str(environment.programs / "dcd")]


def test_links_in_a_circle_end(environment):
    (environment.code[0] / "round").symlink_to("round")
    assert weak(environment) == []


def test_an_interpreter_that_users_cannot_reach_is_refused(environment, tmp_path):
    tmp_path.chmod(0o700)
    with pytest.raises(Refused, match="their users may not enter"):
        refuse_unfit(environment, US)


def test_the_running_environment_names_its_own_code():
    found = this_environment()
    package = Path(__file__).parents[3] / "dcdaemon"
    assert any(package.is_relative_to(place) or place == package for place in found.code)
    assert any((place / "os.py").is_file() for place in found.code)


def test_what_a_pth_file_adds_is_code_of_the_service_too(tmp_path):
    (tmp_path / "other.pth").write_text("# mine\n/home/ada/tools\n\nimport sys; sys.path\nbeside\n")
    assert added_by(tmp_path) == {Path("/home/ada/tools"), tmp_path / "beside"}
    assert added_by(tmp_path / "none") == set()
