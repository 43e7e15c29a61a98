"""Every error has a stable code, an exit code and a status, and speaks in the same three parts."""

import pytest

from dcdaemon.core import errors
from dcdaemon.core.errors import BadConfig, DcdError, NotFound
from dcdaemon.core.samples import FilesystemSample

#: A contract with scripts: changing a line here breaks somebody's cron job.
CONTRACT = {
    "DcdError": ("internal", 1, 500),
    "BadInput": ("bad_input", 2, 422),
    "BadConfig": ("bad_config", 2, 422),
    "Unreachable": ("daemon_unreachable", 3, 503),
    "NotFound": ("not_found", 4, 404),
    "Refused": ("refused", 5, 409),
    "Forbidden": ("forbidden", 5, 403),
    "Unauthorized": ("unauthorized", 5, 401),
    "NeverFits": ("never_fits", 5, 422),
    "StoreUnavailable": ("store_unavailable", 1, 503),
    "StartFailed": ("start_failed", 1, 500),
}


def tree() -> dict[str, type[DcdError]]:
    return {name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, DcdError)}


def test_the_codes_are_a_contract():
    assert {name: (one.code, one.exit_code, one.http_status) for name, one in tree().items()} == CONTRACT


def test_codes_are_unique():
    codes = [one.code for one in tree().values()]
    assert sorted(codes) == sorted(set(codes))


def test_an_error_as_a_document():
    error = NotFound("no job 7", "dcd ps lists the jobs")
    assert str(error) == "no job 7"
    assert error.as_json() == {"error": {"code": "not_found", "message": "no job 7", "hint": "dcd ps lists the jobs"}}


def test_a_bad_configuration_is_bad_input():
    with pytest.raises(errors.BadInput):
        raise BadConfig("wrong")


@pytest.mark.parametrize(
    ("size_bytes", "available_bytes", "ratio"),
    [(100, 25, 0.75), (100, 0, 1.0), (None, 25, None), (100, None, None), (0, 0, None)],
)
def test_how_full_a_filesystem_is(size_bytes, available_bytes, ratio):
    sample = FilesystemSample(0.0, "/", "ext4", size_bytes, available_bytes, None, read_only=False)
    assert sample.used_ratio == ratio
