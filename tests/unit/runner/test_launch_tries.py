"""A fork-server that dies over a request again and again costs no job, as long as one of a few lives."""

import pytest

from dcdaemon.core.errors import StartFailed
from dcdaemon.runner.spawner import FateUnknownError, Spawner


@pytest.fixture
def dying(node, monkeypatch):
    """Have the fork-server die over the next so many requests."""
    fork = Spawner.fork
    deaths = []

    def dies(count):
        def deadly(spawner, directory, launch):
            if len(deaths) < count:
                deaths.append(launch)
                raise FateUnknownError("the fork-server ended")
            return fork(spawner, directory, launch)

        monkeypatch.setattr(Spawner, "fork", deadly)
        return deaths

    return dies


def test_a_launch_outlives_three_fork_servers_and_runs_once(node, dying):
    deaths = dying(3)
    spec = node.start("sh", "-c", "echo ran")
    assert node.end_of(spec).exit_code == 0
    assert node.log(spec) == "ran\n"
    assert deaths == [1, 2, 3]


def test_after_the_fourth_the_job_has_failed_and_the_error_says_how_often_it_was_tried(node, dying):
    dying(4)
    with pytest.raises(StartFailed, match="it was tried 4 times: the fork-server ended"):
        node.start("true")
