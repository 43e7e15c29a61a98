"""Who may see the last lines of a crashed job's log."""

import pytest

from dcdaemon.api.documents import anomaly_document
from dcdaemon.core.anomaly import Anomaly, Finding, Severity
from dcdaemon.core.ports import Actor

EVIDENCE = {"exit_code": 1, "uid": 1000, "log_tail": ["epoch 3", "token=hunter2"]}
CRASH = Anomaly(1, "n", Finding("job_crashed", "job 7, attempt 1", Severity.WARNING, "crashed", EVIDENCE, 7), 1.0, 1.0)


@pytest.mark.parametrize(
    ("reader", "sees"),
    [
        (Actor(1000, 1000, "ada"), ["epoch 3", "token=***"]),
        (Actor(0, 0, "root", operator=True), ["epoch 3", "token=***"]),
        (Actor(1001, 1001, "bob"), None),
    ],
)
def test_only_the_owner_and_operators_see_lines_of_the_log(reader, sees):
    document = anomaly_document(CRASH, reader)
    assert (document["evidence"]["log_tail"], document["evidence"]["exit_code"]) == (sees, 1)
