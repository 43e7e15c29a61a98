"""How long a submit takes while 200 clients follow a log."""

import socket
import time

from benchmarks.node import Node, percentile, running_node

FOLLOWERS = 200
SUBMITS = 200


def main() -> None:
    """Print p50 and p99 of a submit without and with followers, in one run."""
    with running_node() as node:
        [job_id] = node.submit(["/bin/sh", "-c", "while :; do date; sleep 1; done"])
        submit_ms(node, 20)
        alone = submit_ms(node, SUBMITS)
        followers = [follow(node, job_id) for _ in range(FOLLOWERS)]
        time.sleep(2)
        crowded = submit_ms(node, SUBMITS)
        told = sum(b"\n" in follower.recv(65536) for follower in followers)
        for follower in followers:
            follower.close()
        node.client.post("/v1/jobs/cancel", {"select": [str(job_id)], "signal": "KILL"})
    for name, values in (("no follower", alone), (f"{told} followers", crowded)):
        print(f"submit with {name:<14} p50 {percentile(values, 0.5):6.1f} ms, p99 {percentile(values, 0.99):6.1f} ms")


def follow(node: Node, job_id: int) -> socket.socket:
    """Open a log stream and leave it open."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(str(node.client.address.socket_path))
    stream.sendall(f"GET /v1/jobs/{job_id}/log?follow=1 HTTP/1.1\r\nHost: dcd\r\n\r\n".encode())
    return stream


def submit_ms(node: Node, count: int) -> list[float]:
    """Return how long each of `count` held submits took, from request to durable answer."""
    times_ms = []
    for _ in range(count):
        begin_s = time.perf_counter()
        node.submit(["/bin/true"], held=True)
        times_ms.append((time.perf_counter() - begin_s) * 1000)
    return times_ms


if __name__ == "__main__":
    main()
