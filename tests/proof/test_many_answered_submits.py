"""Many submits, each followed by a SIGKILL of the daemon as soon as the answer is there."""

import pytest

pytestmark = pytest.mark.proof
KILLS = 50


def test_every_answered_submit_is_there_after_fifty_kills(new_site):
    site = new_site()
    answered = set()
    for number in range(KILLS):
        site.start()
        answered |= set(site.submit_many([site.wish(held=True)] * (1 + number % 5)))
        site.end()
    site.start()
    assert set(site.jobs()) == answered
    assert len(answered) == sum(1 + number % 5 for number in range(KILLS))
