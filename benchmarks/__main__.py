"""Prints every benchmark, one after the other: python -m benchmarks [NAME...]."""

import importlib
import sys

NAMES = (
    "cli",
    "start",
    "shim",
    "throughput",
    "depth",
    "followers",
    "telemetry",
    "tick",
    "snmp",
    "history",
    "metrics",
    "plan",
    "decision",
    "simulate",
    "policy",
    "forecast",
    "predict",
)


def main() -> None:
    """Run the named benchmarks, all of them without a name."""
    for name in sys.argv[1:] or NAMES:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"benchmarks.bench_{name}").main()


if __name__ == "__main__":
    main()
