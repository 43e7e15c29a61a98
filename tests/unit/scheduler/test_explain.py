"""Every reason, word for word."""

import pytest
from scenes import GIB, NOW, POLICY, drained, node, running, view, waiting

from dcdaemon.core.errors import NotFound
from dcdaemon.core.reasons import Reason, ReasonCode, Unblock
from dcdaemon.core.view import GpuBlock
from dcdaemon.scheduler.capacity import check_fits
from dcdaemon.scheduler.cycle import plan
from dcdaemon.scheduler.explain import explain, explain_all
from dcdaemon.scheduler.notes import short
from dcdaemon.scheduler.policy import Policy
from dcdaemon.scheduler.queue import QueueIndex
from dcdaemon.scheduler.sentences import remedy, sentence


def why(picture, *jobs, job_id=None, policy=POLICY) -> Reason:
    return explain(picture, QueueIndex(jobs), policy, NOW, job_id or jobs[-1].id)


def test_the_first_five_minutes_tell_the_truth():
    picture = view(running(1, [0, 1]), running(2, [2, 3, 4], 300), running(3, [5, 6, 7], 300))
    reason = why(picture, waiting(4, 3, 300), waiting(5, 3, 300))
    assert reason.sentence == (
        "Job 5 waits behind job 4: each needs 3 GPUs, 0 are free. "
        "Jobs 2 and 3 end in 5m at the latest, then both start."
    )
    assert reason.code is ReasonCode.GPUS_BUSY
    assert reason.expected_start_at == NOW + 300
    assert reason.unblock == Unblock(end_jobs=(2, 3))
    assert short(reason) == "3 GPUs needed, 0 free (<5m)"


def test_the_head_names_the_job_whose_end_it_waits_for():
    reason = why(view(running(41, [0, 1, 2, 3, 4], 10_080)), waiting(43, 4))
    assert reason.sentence == "Job 43 needs 4 GPUs, 3 are free. Job 41 ends in 2h48m at the latest, then it starts."
    assert short(reason) == "4 GPUs needed, 3 free (<2h48m)"
    assert reason.remedy == "It would start now if job 41 ended."
    assert reason.note == short(reason)


def test_a_job_that_needs_another_number_than_the_head_names_both():
    reason = why(view(running(2, range(8), 300)), waiting(4, 8, 600), waiting(5, 2))
    assert reason.sentence == (
        "Job 5 waits behind job 4: it needs 2 GPUs, job 4 needs 8, 0 are free. "
        "If every job runs to its limit, it starts in 15m."
    )


def test_endless_jobs_make_the_start_unknown_and_are_named():
    reason = why(view(running(1, [0, 1, 2, 3]), running(2, [4, 5, 6, 7])), waiting(3, 1, 60))
    assert reason.sentence == "Job 3 needs 1 GPU, 0 are free. Jobs 1 and 2 have no time limit, so the start is unknown."
    assert reason.expected_start_at is None
    assert reason.unblock == Unblock(end_jobs=(1,))
    assert short(reason) == "1 GPU needed, 0 free"


def test_cpus_and_memory_are_told_by_their_own_names():
    cpus = why(view(running(1, [0], 60, cpus=63)), waiting(2, 1, cpus=8))
    assert cpus.sentence == "Job 2 needs 8 CPUs, 1 is free. Job 1 ends in 1m at the latest, then it starts."
    assert (cpus.code, short(cpus)) == (ReasonCode.CPUS_BUSY, "8 CPUs needed, 1 free (<1m)")
    memory = why(view(running(1, [0], 60, mem_gib=500)), waiting(2, 1, mem_gib=32))
    assert memory.sentence == (
        "Job 2 needs 32 GiB of memory, 12 GiB is free. Job 1 ends in 1m at the latest, then it starts."
    )
    assert (memory.code, short(memory)) == (ReasonCode.MEMORY_BUSY, "32 GiB needed, 12 GiB free (<1m)")


def test_several_nodes_are_named():
    nodes = [node("a", gpus=4), node("b", gpus=4)]
    picture = view(running(1, [0, 1], 60, on="a"), running(2, [0], 90, on="b"), nodes=nodes)
    reason = why(picture, waiting(3, 4))
    assert reason.sentence == (
        "Job 3 needs 4 GPUs on one node, at most 3 are free (b). Job 1 ends in 1m at the latest, then it starts."
    )


def test_a_job_that_would_fit_hears_who_is_ahead_and_which_limit_lets_it_pass():
    picture = view(running(1, [0, 1, 2, 3, 4, 5], 300))
    reason = why(picture, waiting(4, 8, priority=80), waiting(6, 2))
    assert reason.sentence == (
        "Job 6 needs 2 GPUs and would fit now, but job 4 (priority 80) is ahead: it needs 8 GPUs "
        "and starts in 5m at the latest. With a time limit of 5m it could start now."
    )
    assert reason.code is ReasonCode.PRIORITY
    assert reason.unblock == Unblock(skip_jobs=(4,))
    assert short(reason) == "job 4 ahead"


def test_a_job_kept_back_for_a_head_with_unknown_start():
    reason = why(view(running(1, [0])), waiting(4, 8), waiting(6, 2, 60))
    assert reason.sentence == (
        "Job 6 needs 2 GPUs and would fit now, but job 4 (priority 50) is ahead: it needs 8 GPUs, "
        "and what is free is kept for it. Job 1 has no time limit, so the start is unknown."
    )


def test_a_job_whose_room_is_taken_in_this_very_pass():
    reason = why(view(), waiting(1, 6, 60), waiting(2, 4))
    assert reason.sentence == (
        "Job 2 needs 4 GPUs and would fit now, but job 1 is ahead and starts first. "
        "If every job runs to its limit, it starts in 1m."
    )


def test_blocked_gpus_are_named_with_what_is_known():
    picture = view(nodes=[node(blocked=drained(5))])
    reason = why(picture, waiting(44, 8))
    assert reason.sentence == "Job 44 needs 8 GPUs: GPU 5 is drained (ECC, ticket 881)."
    assert reason.code is ReasonCode.DRAINED
    assert reason.unblock == Unblock(restore_gpus=(("n1", 5),))
    assert short(reason) == "GPU 5 is drained (ECC, ticket 881)"


@pytest.mark.parametrize(
    ("block", "detail", "said", "note"),
    [
        (
            GpuBlock.HEALTH,
            "Xid 79",
            "GPU 5 failed its last check (Xid 79)",
            "GPU 5 failed its last check (Xid 79)",
        ),
        (
            GpuBlock.FOREIGN,
            "pid 9931 vllm, user4",
            "GPU 5 holds a foreign process (pid 9931 vllm, user4)",
            "GPU 5 holds a foreign process (pid 9931…",
        ),
        (GpuBlock.DRAINED, "", "GPU 5 is drained", "GPU 5 is drained"),
    ],
)
def test_each_block_has_its_words(block, detail, said, note):
    reason = why(view(nodes=[node(blocked={5: (block, detail)})]), waiting(1, 8))
    assert (reason.sentence, short(reason)) == (f"Job 1 needs 8 GPUs: {said}.", note)
    assert reason.code == block.value


def test_a_blocked_gpu_is_told_beside_busy_ones():
    picture = view(running(1, [0, 1, 2, 3], 60), nodes=[node(blocked=drained(5, ""))])
    assert why(picture, waiting(2, 4)).sentence == (
        "Job 2 needs 4 GPUs, 3 are free. GPU 5 is drained. Job 1 ends in 1m at the latest, then it starts."
    )


def test_holds_and_dependencies():
    picture = view(running(1, [0], 60))
    held = why(picture, waiting(2, 1, held=True))
    assert (held.sentence, short(held)) == ("Job 2 is held; dcd release 2 lets it go.", "held")
    assert held.remedy == "It would start now if it were released."
    after = why(picture, waiting(2, 1, waits_for=(1,)))
    assert after.sentence == "Job 2 waits for job 1. If every job runs to its limit, it starts in 1m."
    assert (short(after), after.unblock) == ("after job 1", Unblock(finish_dependencies=(1,)))
    failed = why(picture, waiting(2, 1, failed_dependency=9))
    assert failed.sentence == "Job 2 waits for job 9, which did not succeed: requeue that one, or cancel this one."
    assert (short(failed), failed.unblock) == ("job 9 did not succeed", Unblock(finish_dependencies=(9,)))


def test_a_chain_of_dependencies_is_foretold():
    jobs = [waiting(2, 1, 30, waits_for=(1,)), waiting(3, 1, 30, waits_for=(2,))]
    assert why(view(running(1, [0], 60)), *jobs).expected_start_at == NOW + 90


def test_a_job_that_starts_says_so():
    reason = why(view(), waiting(1, 1))
    assert (reason.sentence, short(reason), reason.expected_start_at) == (
        "Job 1 starts now.",
        "starts now",
        NOW,
    )
    assert reason.unblock == Unblock()
    assert reason.remedy == ""


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (waiting(7, 16), "Job 7 asks for 16 GPUs, this node has 8."),
        (waiting(7, 1, cpus=65), "Job 7 asks for 65 CPUs, this node has 64."),
        (waiting(7, 1, mem_gib=1024), "Job 7 asks for 1.0 TiB of memory, this node has 512 GiB."),
    ],
)
def test_a_job_that_can_never_fit_hears_the_size_of_the_node(job, said):
    reason = why(view(), job)
    assert reason.sentence == said.replace("1.0 TiB", "1 TiB")
    assert (reason.code, reason.unblock) == (ReasonCode.NEVER_FITS, Unblock())
    assert short(reason) == "asks for more than any node has"


def test_before_it_has_a_number_a_job_is_checked_against_all_nodes():
    nodes = [node("a", gpus=2, cpus=128), node("b", gpus=8, cpus=16, blocked=drained(0))]
    assert check_fits(waiting(0, 8, cpus=16), nodes) is None
    too_wide = check_fits(waiting(0, 9), nodes)
    assert too_wide is not None
    assert too_wide.sentence == "This job asks for 9 GPUs, the largest node (b) has 8."
    torn = check_fits(waiting(0, 8, cpus=17), nodes)
    assert torn is not None
    assert torn.sentence == "This job asks for 17 CPUs, the largest node (b) has 16."
    nowhere = check_fits(waiting(0, 1), [])
    assert nowhere is not None
    assert nowhere.sentence == "This job cannot run: there is no node."


def test_a_job_that_does_not_wait_has_no_reason():
    with pytest.raises(NotFound, match="job 9 is not waiting"):
        explain(view(), QueueIndex(), POLICY, NOW, 9)


def test_the_whole_queue_is_explained_in_order_and_up_to_a_limit():
    picture = view(running(41, [0, 1, 2, 3, 4], 10_080))
    queue = QueueIndex([waiting(44, 1), waiting(43, 4), waiting(42, 8, held=True), waiting(45, 1)])
    reasons = explain_all(picture, queue, POLICY, NOW, 3)
    assert [(reason.job_id, short(reason)) for reason in reasons] == [
        (42, "held"),
        (43, "4 GPUs needed, 3 free (<2h48m)"),
        (44, "starts now"),
    ]


def test_the_fewest_changes_are_named():
    # Ending job 3 alone gives 4 GPUs; jobs 1 and 2 together would do as well.
    picture = view(running(1, [0, 1], 10), running(2, [2, 3], 20), running(3, [4, 5, 6, 7], 900))
    assert why(picture, waiting(9, 4)).unblock == Unblock(end_jobs=(3,))
    assert why(picture, waiting(9, 3)).unblock == Unblock(end_jobs=(3,))
    assert why(picture, waiting(9, 2)).unblock == Unblock(end_jobs=(1,))


def test_a_change_may_need_several_kinds_at_once():
    picture = view(running(1, [0, 1, 2, 3]), nodes=[node(gpus=4, blocked=drained(0))])
    reason = why(picture, waiting(8, 3), waiting(9, 4, held=True))
    assert reason.unblock == Unblock(end_jobs=(1,), skip_jobs=(8,), release=True, restore_gpus=(("n1", 0),))
    assert reason.remedy == (
        "It would start now if it were released, job 1 ended, job 8 stood aside and GPU 0 took work again."
    )


def test_without_backfill_the_turn_is_the_reason():
    reason = why(view(running(1, [0], 300)), waiting(4, 8, 60), waiting(6, 2, 60), policy=Policy(backfill=False))
    assert reason.sentence == (
        "Job 6 needs 2 GPUs and would fit now, but job 4 (priority 50) is ahead: it needs 8 GPUs "
        "and starts in 5m at the latest. If every job runs to its limit, it starts in 6m."
    )


def test_long_lists_are_cut_and_counted():
    assert remedy(Unblock(end_jobs=(1, 2, 3, 4, 5, 6))) == "It would start now if jobs 1, 2, 3, 4 and 2 more ended."
    blocked = dict.fromkeys(range(6), (GpuBlock.FOREIGN, ""))
    reason = why(view(nodes=[node(blocked=blocked)]), waiting(1, 3))
    assert reason.sentence.endswith("GPU 3 holds a foreign process and 2 more GPUs take no work.")


def test_an_overdue_job_is_due_any_moment():
    reason = why(view(running(1, range(8), -5)), waiting(2, 8, mem_gib=1))
    assert reason.sentence == "Job 2 needs 8 GPUs, 0 are free. Job 1 ends any moment now, then it starts."
    assert reason.facts["mem_needed_bytes"] == GIB


def test_the_limit_that_would_start_a_job_leaves_room_for_its_grace():
    """With `-t 5m` this job would hold its GPU for 5m30s, and the head starts in 5m25s."""
    picture = view(running(1, range(7), 325))
    reason = why(picture, waiting(2, 8), waiting(3, 1, None, grace_s=30.0))
    assert reason.facts["limit_to_start_s"] == 240.0
    started = plan(picture, QueueIndex([waiting(2, 8), waiting(3, 1, 240.0 + 30.0)]), POLICY, NOW).starts
    assert [start.job_id for start in started] == [3]


def test_reasons_of_some_jobs_are_those_they_have_among_all():
    queue = QueueIndex([waiting(job_id, 3) for job_id in range(1, 6)])
    everything = explain_all(view(), queue, POLICY, NOW)
    assert len({short(reason) for reason in everything}) > 1
    assert explain_all(view(), queue, POLICY, NOW, only=frozenset({3, 5})) == [everything[2], everything[4]]


def test_two_shares_of_a_gpu_are_told_apart_by_their_memory():
    facts = {
        "gpus_needed": 1, "gpu_mem_needed_bytes": 60 * GIB, "gpu_mem_free_bytes": 20 * GIB, "gpus_free": 0, "nodes": 1,
        "head_job": 4, "head_gpus_needed": 1, "head_cpus_needed": 1, "head_gpu_mem_needed_bytes": 30 * GIB,
    }  # fmt: skip
    told = sentence(Reason(7, ReasonCode.GPUS_BUSY, facts))
    assert told.startswith("Job 7 waits behind job 4: it needs 60 GiB of a GPU, job 4 needs 30 GiB of a GPU, at most")
    alike = facts | {"head_gpu_mem_needed_bytes": 60 * GIB}
    assert "job 4: each needs 60 GiB of a GPU," in sentence(Reason(7, ReasonCode.GPUS_BUSY, alike))
    whole = {key: value for key, value in facts.items() if key != "head_gpu_mem_needed_bytes"}
    assert "it needs 60 GiB of a GPU, job 4 needs 1 GPU," in sentence(Reason(7, ReasonCode.GPUS_BUSY, whole))


def test_both_start_only_where_both_do():
    picture = view(running(1, range(4), 8000.0), running(2, (4, 5), 7000.0))
    told = why(picture, waiting(3, 4, priority=60), waiting(4, 4)).sentence
    assert told.endswith("Jobs 1 and 2 end in 2h13m at the latest, then it starts.")
