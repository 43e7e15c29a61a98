"""Runs in the environment of the peers: prometheus_client sets and renders gauges, its result is one line of JSON."""

import importlib.metadata
import json
import statistics
import sys
import time

from prometheus_client import CollectorRegistry, Gauge, generate_latest


def main() -> None:
    """Measure `count` samples: families with one series for each GPU, set anew before each page is made."""
    count, gpus, rounds = (int(argument) for argument in sys.argv[1:])
    registry = CollectorRegistry()
    families = [
        Gauge(f"peer_{number}_watts", "One value of every GPU.", ["gpu", "uuid"], registry=registry)
        for number in range(count // gpus)
    ]
    times = []
    for _ in range(rounds):
        begin_s = time.process_time()
        for family in families:
            for gpu in range(gpus):
                family.labels(str(gpu), f"GPU-{gpu:04d}").set(123.25 + gpu)
        body = generate_latest(registry)
        times.append(time.process_time() - begin_s)
    told = {
        "version": importlib.metadata.version("prometheus_client"), "samples": len(families) * gpus,
        "bytes": len(body), "made_ms": statistics.median(times) * 1000,
    }  # fmt: skip
    print(json.dumps(told))


if __name__ == "__main__":
    main()
