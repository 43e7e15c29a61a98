"""What was answered with an id is there after a SIGKILL that follows the answer at once."""


def test_every_answered_submit_is_there_after_the_kill(new_site):
    site = new_site()
    answered = set()
    for _ in range(10):
        site.start()
        answered |= {site.submit(held=True) for _ in range(4)}
        answered |= set(site.submit_many([site.wish(held=True)] * 3))
        site.end()
    site.start()
    assert set(site.jobs()) == answered
    assert len(answered) == 70
