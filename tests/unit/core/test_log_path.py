"""Where a job's own log lies: the symbols of sbatch's file names."""

from dataclasses import replace

import pytest

from dcdaemon.core.job import Job, JobSpec, JobState
from dcdaemon.core.log_path import log_path

SPEC = JobSpec(argv=("train.py",), cwd="/", uid=1, gid=1, user="ada", name="train", env_ref="e")


def path_of(pattern: str | None, **fields: object) -> str | None:
    spec = replace(SPEC, log_path=pattern, **fields)  # type: ignore[arg-type]
    return log_path(Job(id=123, node="node1.example.org", spec=spec, state=JobState.WAITING, submitted_at=0.0))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/logs/plain.log", "/logs/plain.log"),
        ("/logs/slurm-%j.out", "/logs/slurm-123.out"),
        ("/logs/%x_%A_%a.log", "/logs/train_120_7.log"),
        ("/logs/%6j-%3a.log", "/logs/000123-007.log"),
        ("/logs/%99j", "/logs/0000000123"),
        ("/logs/%u/%N-%n-%t-%s", "/logs/ada/node1-0-0-batch"),
        ("/logs/%5x", "/logs/train"),
        ("/logs/100%%-%q-%", "/logs/100%-%q-%"),
        (r"/logs/\%j", "/logs/%j"),
        ("/logs/%b", "/logs/7"),
    ],
)
def test_symbols_are_replaced_as_sbatch_does(pattern, path):
    assert path_of(pattern, array_id=120, array_index=7) == path


def test_a_job_that_is_no_array_has_its_own_id_and_index_0():
    assert path_of("/logs/%A_%a") == "/logs/123_0"


def test_a_name_makes_no_directories_and_no_symbols():
    assert path_of("/logs/%x.log", name="../%j/x") == "/logs/.._%j_x.log"


def test_the_log_of_the_daemon_has_no_path():
    assert path_of(None) is None
