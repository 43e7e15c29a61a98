"""How long `dcd ps` takes as a multiple of a bare `python -c pass`, side by side (median of 15)."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "golden"))

import documents
from stub_daemon import StubDaemon

ROUNDS = 15
RATIO_AT_MOST = 12.0


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        stub = StubDaemon(Path(directory, "d.sock"))
        stub.routes["GET /v1/jobs"] = documents.queue()
        try:
            return report({**os.environ, "DCD_URL": stub.url})
        finally:
            stub.close()


def report(env: dict[str, str]) -> int:
    commands = {
        "python -c pass": ["-c", "pass"],
        "dcd ps": ["-m", "dcdaemon", "ps"],
        "dcd ps --json": ["-m", "dcdaemon", "ps", "--json"],
    }
    times_ms: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, arguments in commands.items():
            times_ms[name].append(measure_ms(arguments, env))
    bare_ms = statistics.median(times_ms["python -c pass"])
    print(f"{'command':<16} {'median ms':>10} {'x bare':>7}")
    for name, values in times_ms.items():
        print(f"{name:<16} {statistics.median(values):>10.1f} {statistics.median(values) / bare_ms:>7.1f}")
    return 0 if statistics.median(times_ms["dcd ps"]) <= RATIO_AT_MOST * bare_ms else 1


def measure_ms(arguments: list[str], env: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, check=True, capture_output=True)
    return (time.perf_counter() - begin) * 1000


if __name__ == "__main__":
    sys.exit(main())
