"""What `dcd why` says holds: the changes it names start the job, and its reasons are those of the plan."""

from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, by_id, jobs, policies, views

from dcdaemon.core.reasons import Before, ReasonCode
from dcdaemon.scheduler.ahead import Key, Line
from dcdaemon.scheduler.capacity import check_fits
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.notes import WIDTH
from dcdaemon.scheduler.queue import QueueIndex, is_ready
from dcdaemon.scheduler.whatif import apply

LIMITS = {ReasonCode.QUOTA, ReasonCode.QUEUE_LIMIT, ReasonCode.ARRAY_LIMIT}
BLOCKED = {ReasonCode.DRAINED, ReasonCode.HEALTH, ReasonCode.FOREIGN}


@settings(max_examples=300, deadline=None)
@given(views(), jobs(), policies(), st.data())
def test_what_why_says_would_start_a_job_does_start_it(view, waiting, policy, data):
    queue, job = QueueIndex(waiting), data.draw(st.sampled_from(waiting))
    reason = explain(view, queue, policy, NOW, job.id)
    if reason.code is ReasonCode.NEVER_FITS:
        assert check_fits(job, view.nodes, job.id, policy, job.queue) is not None
        return
    decided = plan(*apply(view, queue, reason.unblock, job.id), policy, NOW)
    assert job.id in {start.job_id for start in decided.starts}


@settings(max_examples=300, deadline=None)
@given(views(), jobs(), policies())
def test_every_waiting_job_has_a_reason_that_agrees_with_the_plan(view, waiting, policy):
    queue, decided = QueueIndex(waiting), plan(view, QueueIndex(waiting), policy, NOW)
    started = {start.job_id for start in decided.starts}
    kept = {reservation.job_id for reservation in decided.reservations}
    reasons = explain_all(view, queue, policy, NOW)
    assert {reason.job_id for reason in reasons} == set(by_id(waiting))
    for reason in reasons:
        job = by_id(waiting)[reason.job_id]
        assert (reason.code is ReasonCode.STARTS_NOW) == (job.id in started)
        assert reason.sentence.endswith(".")
        assert 0 < len(reason.note) <= WIDTH
        if job.id in kept:
            assert reason.code not in LIMITS | BLOCKED | {ReasonCode.NEVER_FITS, ReasonCode.BEGIN_TIME}
        if reason.code in LIMITS:
            assert (
                reason.facts["limit_used"] + reason.facts["limit_more"] > reason.facts["limit_most"]
                or (reason.facts["limit_kept"])
            )
        if reason.code in {ReasonCode.HELD, ReasonCode.DEPENDENCY, ReasonCode.BEGIN_TIME}:
            assert not is_ready(job)


@settings(max_examples=300, deadline=None)
@given(views(), jobs(), policies(), st.data())
def test_one_job_is_told_what_the_listing_says_and_when_it_starts(view, waiting, policy, data):
    queue, job = QueueIndex(waiting), data.draw(st.sampled_from(waiting))
    alone = explain(view, queue, policy, NOW, job.id)
    [listed] = explain_all(view, queue, policy, NOW, only=frozenset({job.id}))
    assert alone.code is listed.code
    assert alone.sentence.endswith(".")
    assert 0 < len(alone.note) <= WIDTH
    low, at, high = alone.expected_low_at, alone.expected_start_at, alone.expected_high_at
    if at is not None:
        assert at >= NOW
        assert low is None or NOW <= low <= at
        assert high is None or at <= high


@settings(max_examples=300, deadline=None)
@given(views(), jobs(), policies(), st.data())
def test_those_said_to_go_first_are_all_that_do(view, waiting, policy, data):
    queue, job = QueueIndex(waiting), data.draw(st.sampled_from(waiting))
    line = Line.of(view, queue, policy, NOW)
    mine = Key.of(job, line.ranking)
    ahead = line.why_ahead(job.id)
    first = {other.id for other in waiting if is_ready(other) and Key.of(other, line.ranking) < mine}
    assert sum(each["count"] for each in ahead) == len(first) == len(line.ready_before(job.id))
    assert {job_id for each in ahead for job_id in each["jobs"]} <= first
    for each in ahead:
        for other in (by_id(waiting)[job_id] for job_id in each["jobs"]):
            assert (each["why"] == Before.PRIORITY) == (other.priority > job.priority)


@settings(max_examples=300, deadline=None)
@given(views(), jobs(), policies(), st.data())
def test_the_same_question_gets_the_same_answer(view, waiting, policy, data):
    job = data.draw(st.sampled_from(waiting))
    backwards = QueueIndex(reversed(waiting))
    assert explain(view, QueueIndex(waiting), policy, NOW, job.id) == explain(view, backwards, policy, NOW, job.id)
