"""A job that uses clearly more of a shared GPU than it declared is found, and nobody else."""

import pytest

from dcdaemon.anomalies.picture import NodePicture, SharedBy
from dcdaemon.anomalies.sharing import share_exceeded
from dcdaemon.core.gpu import GpuProcess
from dcdaemon.core.samples import GpuSample

GIB = 1024**3


def signs(*held_gib, asked_gib=10, job_id=7):
    """What is found when job 7 asked for so much and processes of `job_id` hold so much each."""
    processes = tuple(
        GpuProcess(pid, None if gib is None else int(gib * GIB), job_id=job_id) for pid, gib in enumerate(held_gib)
    )
    picture = NodePicture(
        at=0.0, monotonic_s=0.0, node="n1", samples={3: GpuSample(0.0, 0.0, 3, processes=processes)},
        shares=(SharedBy(7, "ada", "vit", 3, asked_gib * GIB),),
    )  # fmt: skip
    return list(share_exceeded(picture, frozenset()))


def test_an_excess_is_told_with_its_numbers():
    [sign] = signs(8, 7)
    assert sign.message == "job 7 (vit) of ada uses 15 GiB of gpu 3, and asked for 10 GiB"
    assert (sign.subject, sign.job_id, sign.gpu) == ("gpu 3, job 7", 7, 3)
    assert sign.evidence == {"used_bytes": 15 * GIB, "asked_bytes": 10 * GIB, "user": "ada"}


@pytest.mark.parametrize(("held", "asked"), [((10,), 10), ((10.9,), 10), ((1.4,), 1), ((), 10), ((None, None), 10)])
def test_a_little_more_or_nothing_known_is_no_excess(held, asked):
    assert signs(*held, asked_gib=asked) == []


def test_what_others_hold_is_not_the_jobs():
    assert signs(60, job_id=8) == []
    assert signs(60, job_id=None) == []


def test_without_a_sample_nothing_is_found():
    picture = NodePicture(at=0.0, monotonic_s=0.0, node="n1", shares=(SharedBy(7, "ada", "vit", 3, GIB),))
    assert list(share_exceeded(picture, frozenset())) == []
