"""What the kernel keeps a job from: more memory than it asked for, GPUs that are not its own, an afterlife."""

from vm.node import minor_of

#: By the minor numbers of GPUs 0 to 3.
OPENS = 'for n in 7 6 5 4; do (exec 3<> /dev/nvidia$n) 2>&1 | sed "s/^.*nvidia//"; done'
ALLOWED, FORBIDDEN = "No such device or address", "Operation not permitted"
EATS = "exec python3 -c 'b = bytearray(600 * 1024**2)'"


def test_a_job_that_takes_more_memory_than_it_asked_for_is_ended_and_its_neighbour_goes_on(node):
    neighbour = node.submit("while [ ! -e ~/fed ]; do sleep 0.2; done; echo still here", "-m", "100M")
    eater = node.submit(EATS, "-m", "100M", user="ben")
    node.wait(eater)
    told = node.show(eater)
    assert told["state"] == "out_of_memory", told
    evidence = node.machine.check("dcd", "show", str(eater))
    assert "killed 1 of its processes" in evidence, evidence
    assert node.show(neighbour)["state"] == "running"
    node.machine.put("/home/ada/fed", b"", user="ada")
    node.wait(neighbour)
    assert node.show(neighbour)["state"] == "succeeded"
    assert node.log(neighbour) == "still here\n"


def test_a_job_can_open_its_own_gpus_and_no_others(node):
    """No driver stands behind these nodes, so that an open that is allowed says that there is no such device."""
    one, two, none = node.submit(OPENS, "-g", "1"), node.submit(OPENS, "-g", "2", user="ben"), node.submit(OPENS)
    node.wait(one, two, none)
    for job_id in (one, two, none):
        own = node.show(job_id)["gpus"]
        answers = [line.partition(": ")[2].strip() for line in node.log(job_id).splitlines()]
        assert [line[0] for line in node.log(job_id).splitlines()] == [str(minor_of(index)) for index in range(4)]
        expected = [ALLOWED if index in own else FORBIDDEN for index in range(4)]
        assert [answer.split(": ")[-1] for answer in answers] == expected, (own, answers)


def test_not_even_root_gets_at_another_gpu_by_a_node_of_its_own(node):
    job_id = node.submit(
        "for n in 7 6 5 4; do mknod /root/gpu$n c 195 $n 2>&1 && (exec 3<> /root/gpu$n) 2>&1; rm -f /root/gpu$n; done",
        "-g", "1", user="root",
    )  # fmt: skip
    node.wait(job_id)
    assert node.log(job_id).count(FORBIDDEN) >= 3, node.log(job_id)
    assert node.log(job_id).count(ALLOWED) <= 1


def test_a_job_holds_its_gpus_as_long_as_a_process_of_it_lives_and_none_outlives_it(node):
    """Daemonised, in a session of its own, and its parent has ended."""
    job_id = node.submit("setsid sleep 987654 > /dev/null 2>&1 & echo main ends", "-g", "4")
    node.until_log(job_id, says="main ends")
    follower = node.submit("echo got them", "-g", "4", user="ben")
    assert node.show(job_id)["state"] == "running"
    assert node.show(follower)["state"] == "waiting"
    node.machine.check("dcd", "cancel", "-y", str(job_id), user="ada")
    assert [job["state"] for job in node.wait(job_id, follower)] == ["cancelled", "succeeded"]
    assert node.machine.run("pgrep", "--full", "sleep 987654").rc == 1


def test_a_job_ends_at_its_time_limit(node):
    job_id = node.submit("sleep 1000", "-t", "2s")
    node.wait(job_id)
    assert node.show(job_id)["state"] == "timed_out"
