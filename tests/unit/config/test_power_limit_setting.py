"""gpus.power_limit_w: one number for all GPUs, or limits by GPU, in a file and in a variable."""

import pytest

from dcdaemon.config.load import load
from dcdaemon.core.errors import BadConfig


def limits(tmp_path, text: str, **env: str):
    file = tmp_path / "dcdaemon.toml"
    file.write_text(f"[gpus]\n{text}\n")
    return load([file], env={"HOME": "/root", **env}, uid=0).config.gpus.power_limit_w


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ('power_limit_w = ""', ()),
        ("power_limit_w = 400", ((None, 400.0),)),
        ("power_limit_w = {0 = 400, 1 = 350.5}", ((0, 400.0), (1, 350.5))),
        ('power_limit_w = ["0=400", "1-3=350"]', ((0, 400.0), (1, 350.0), (2, 350.0), (3, 350.0))),
        ('power_limit_w = ["=400", "2=300"]', ((None, 400.0), (2, 300.0))),
    ],
)
def test_a_file_names_one_limit_or_several(tmp_path, text, expected):
    assert limits(tmp_path, text) == expected


def test_a_variable_names_them_as_text(tmp_path):
    assert limits(tmp_path, "power_limit_w = 9", DCD_GPUS__POWER_LIMIT_W="400") == ((None, 400.0),)
    assert limits(tmp_path, "", DCD_GPUS__POWER_LIMIT_W="0=400,2-3=300") == ((0, 400.0), (2, 300.0), (3, 300.0))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("power_limit_w = true", "is not a number"),
        ("power_limit_w = -5", "is not a number of 0 or more"),
        ('power_limit_w = "much"', "is not a number"),
        ('power_limit_w = ["0=400", "0-1=300"]', "twice"),
        ('power_limit_w = ["x=400"]', "which is no GPU"),
        ('power_limit_w = ["0="]', "is not a number"),
        ("power_limit_w = [400]", "is not a list of names"),
        ("power_limit_w = {0 = 0}", "is not more than 0"),
    ],
)
def test_what_is_no_limit_is_refused_by_its_name(tmp_path, text, why):
    with pytest.raises(BadConfig, match=rf"gpus.power_limit_w = .*{why}"):
        limits(tmp_path, text)
