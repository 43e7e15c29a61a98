"""Compare each value of a GPU with nvidia-smi's, under a training job: `compare_with_nvidia_smi FILE [SCALE]`.

FILE keeps all that was said; where it exists already, it is judged again and nothing is run. The verdict of a gauge
is that of its medians in each phase of the job; facts and counters must be the same.
"""  # noqa: INP001  a script

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from contributing import nvidia_smi
from contributing.record_gpu import record
from dcdaemon.core.metric import Kind, Metric, metrics_of
from dcdaemon.core.samples import GpuSample

#: Seconds at the beginning and at the end of a phase in which the GPU's own averages still tell of another one.
_SETTLING_S, _ENDING_S = 4.0, 1.0
#: By how much a gauge in motion may be apart: of our unit, and of the value.
_APART = {"_ratio": (0.04, 0.05), "_w": (6, 0.03), "_c": (1.0, 0), "_hz": (1.5e7, 0.01), "_bytes": (2**21, 0.001),
          "_per_s": (1e8, 0.1)}  # fmt: skip
#: Rounding of nvidia-smi's, in our unit.
_ROUNDING = {"_bytes": 2**20, "_w": 0.01, "_s": 1e-5, "_hz": 5e5}
_SAME, _DIFFERS, _UNTOLD, _UNSUPPORTED = "agrees", "differs", "nvidia-smi does not tell it", "not told by this GPU"
#: Ours -> what it is called in `nvidia-smi pci`.
_PCI_PAGE = {
    "pcie_tx_bytes": "TX_BYTES", "pcie_rx_bytes": "RX_BYTES", "pcie_correctable_errors": "CORRECTABLE_ERRORS",
    "pcie_nonfatal_errors": "NON_FATAL_ERROR", "pcie_fatal_errors": " FATAL_ERROR",
}  # fmt: skip
#: What an idle link may move between their reading and ours.
_PCI_APART_BYTES = 2**25
Rows = list[tuple[float, dict[str, Any]]]


class Heard:
    """A recording, and where in it each phase lies."""

    def __init__(self, recording: dict[str, Any]) -> None:
        self.recording = recording
        self.ours: Rows = [(sample["at"], sample) for _, sample in recording["samples"]]
        pages = [(said["begin"], at, said["page"]) for at, said in recording["pages"] if "<gpu " in said["page"]]
        self.pages = [(begin, end, nvidia_smi.values(page)) for begin, end, page in pages]
        self.told: Rows = [(end, told) for _, end, told in self.pages]
        self.facts = [(begin, end, nvidia_smi.facts(page)) for begin, end, page in pages]
        self.gpm: Rows = [(at, told) for at, line in recording["dmon"] if (told := nvidia_smi.gpm(line))]
        self.phases: dict[str, dict[str, Any]] = {phase["phase"]: phase for _, phase in recording["phases"]}

    def window(self, phase: str) -> tuple[float, float]:
        """Return from when to when a phase was steady."""
        found = self.phases[phase]
        return found["begin"] + _SETTLING_S, found["end"] - _ENDING_S

    def steady(self) -> Iterator[str]:
        """Yield the phases that were long enough to have a steady part."""
        yield from (name for name in self.phases if self.window(name)[1] - self.window(name)[0] > 2)


def middle(rows: Rows, name: str, window: tuple[float, float]) -> float | None:
    """Return the median of a value over a window; None where nobody told it."""
    told = [row[name] for at, row in rows if window[0] <= at <= window[1] and row.get(name) is not None]
    return median(told) if len(told) >= 2 else None


def judge(heard: Heard, metric: Metric) -> dict[str, Any]:
    """Return the verdict on a metric, with what it rests on."""
    name = metric.attribute
    if all(sample[name] is None for _, sample in heard.ours):
        theirs = any(name in told for _, _, told in heard.pages) or any(name in told for _, told in heard.gpm)
        return {"verdict": f"{_DIFFERS}: only nvidia-smi tells it" if theirs else _UNSUPPORTED}
    if name in nvidia_smi.GPM.values() or name in _PCI_PAGE:
        return _of_pci_page(heard, name) if name in _PCI_PAGE else _of_gauge(heard, name, heard.gpm)
    if not any(name in told for _, _, told in heard.pages):
        return {"verdict": _UNTOLD, "ours": [heard.ours[0][1][name], heard.ours[-1][1][name]]}
    if metric.kind is Kind.GAUGE and any(name.endswith(ending) for ending in _APART):
        return _of_slow_gauge(heard, metric) if metric.every_s > 1 else _of_gauge(heard, name, heard.told)
    return _of_exact(heard, metric)


def _of_gauge(heard: Heard, name: str, theirs: Rows) -> dict[str, Any]:
    medians, apart = {}, []
    for phase in heard.steady():
        pair = middle(heard.ours, name, heard.window(phase)), middle(theirs, name, heard.window(phase))
        medians[phase] = pair
        if pair[0] is not None and pair[1] is not None and abs(pair[0] - pair[1]) > _most_apart(name, pair[1]):
            apart.append(phase)
    if not any(None not in pair for pair in medians.values()):
        return {"verdict": _UNTOLD, "medians": medians}
    return {"verdict": f"{_DIFFERS} in {', '.join(apart)}" if apart else _SAME, "medians": medians}


def _of_slow_gauge(heard: Heard, metric: Metric) -> dict[str, Any]:
    """Compare each page with what we said until the value was read anew, as it may move meanwhile."""
    name, wrong, right = metric.attribute, [], 0
    for begin, end, told in heard.pages:
        until = end + metric.every_s + 0.5
        ours = [row[name] for at, row in heard.ours if begin - 1.5 <= at <= until and row[name] is not None]
        if not ours or name not in told:
            continue
        most = _most_apart(name, told[name])
        if min(ours) - most <= told[name] <= max(ours) + most:
            right += 1
        else:
            wrong.append([begin, min(ours), told[name], max(ours)])
    few = len(wrong) <= len(heard.pages) // 20
    pairs = _of_gauge(heard, name, heard.told)["medians"]
    verdict = _SAME if few else f"{_DIFFERS} on {len(wrong)} of {right + len(wrong)} pages"
    return {"verdict": verdict, "pages": right, "wrong": wrong[:5], "medians": pairs}


def _of_pci_page(heard: Heard, name: str) -> dict[str, Any]:
    """Compare with `nvidia-smi pci`: byte counters by what they grew, which wraps there; errors as they are."""
    pages = [said["page"] for _, said in heard.recording["others"] if _PCI_PAGE[name] in said["page"]]
    times = [said["begin"] for _, said in heard.recording["others"] if _PCI_PAGE[name] in said["page"]]
    theirs = [int(re.findall(rf"{_PCI_PAGE[name]}:\s*(\d+)", page)[0]) for page in pages]
    if len(theirs) < 2:
        return {"verdict": _UNTOLD, "ours": [heard.ours[0][1][name], heard.ours[-1][1][name]]}
    ours = [min(heard.ours, key=lambda row: abs(row[0] - at))[1][name] for at in times]
    grown = ours[-1] - ours[0], theirs[-1] - theirs[0]
    apart = (grown[0] - grown[1]) % 2**32
    same = min(apart, 2**32 - apart) <= _PCI_APART_BYTES if name.endswith("_bytes") else ours == theirs
    return {"verdict": _SAME if same else _DIFFERS, "last": [grown[0], grown[1] % 2**32]}


def _most_apart(name: str, theirs: float) -> float:
    absolute, relative = next(apart for ending, apart in _APART.items() if name.endswith(ending))
    return max(absolute, relative * abs(theirs))


def _of_exact(heard: Heard, metric: Metric) -> dict[str, Any]:
    """Compare each page with our sample before it and the one after the value was read anew."""
    name, wrong, right = metric.attribute, [], 0
    rounding = next((apart for ending, apart in _ROUNDING.items() if name.endswith(ending)), 0.0)
    for begin, end, told in heard.pages:
        before = [row[name] for at, row in heard.ours if at <= begin]
        after = [row[name] for at, row in heard.ours if at >= end + metric.every_s + 0.5]
        if not before or not after or name not in told or before[-1] is None or after[0] is None:
            continue
        low, high, theirs = before[-1] - rounding, after[0] + rounding, told[name]
        if min(low, high) <= theirs <= max(low, high):
            right += 1
        else:
            wrong.append([begin, before[-1], theirs, after[0]])
    # A mask may change and change back between two of our samples.
    allowed = len(heard.pages) // 10 if metric.bits else 0
    verdict = _SAME if right and len(wrong) <= allowed else f"{_DIFFERS} on {len(wrong)} of {right + len(wrong)} pages"
    last = next((told[name] for _, _, told in reversed(heard.pages) if name in told), None)
    return {"verdict": verdict, "pages": right, "last": [heard.ours[-1][1][name], last], "wrong": wrong[:5]}


def identity(heard: Heard) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the verdicts on what a GPU is, and on its processes."""
    info, facts = heard.recording["gpus"][0], heard.facts[-1][2]
    for name in ("uuid", "name", "minor"):
        yield name, {"verdict": _SAME if info[name] == facts[name] else _DIFFERS, "last": [info[name], facts[name]]}
    pair = info["pci_bus_id"].upper(), str(facts["pci_bus_id"]).upper()
    yield "pci_bus_id", {"verdict": _SAME if pair[0] == pair[1] else _DIFFERS, "last": pair}
    pair = heard.recording["driver_version"], facts["driver_version"]
    yield "driver_version", {"verdict": _SAME if pair[0] == pair[1] else _DIFFERS, "last": pair}
    right, wrong = 0, []
    for _, end, told in heard.facts:
        # Lists are read every ten seconds: the one that is as old as this page comes later.
        ours = [_held(row) for at, row in heard.ours if end - 11 <= at <= end + 11]
        theirs: dict[int, float | None] = told["processes"]  # type: ignore[assignment]
        near = any(held.keys() == theirs.keys() and all(_near(held[pid], theirs[pid]) for pid in held) for held in ours)
        right += near
        if not near:
            wrong.append([end, theirs, ours[-1] if ours else None])
    # A page of the moment in which a process takes memory is no list of ours.
    verdict = _SAME if len(wrong) <= len(heard.facts) // 20 else f"{_DIFFERS} on {len(wrong)} pages"
    yield "processes", {"verdict": verdict, "pages": right, "wrong": wrong[:5]}


def _held(row: dict[str, Any]) -> dict[int, float | None]:
    return {process["pid"]: process["mem_used_bytes"] for process in row["processes"] or ()}


def _near(ours: float | None, theirs: float | None) -> bool:
    return ours == theirs or (ours is not None and theirs is not None and abs(ours - theirs) <= 2**21)


def cost(heard: Heard) -> str:
    """Return what the telemetry child took of a core, and of memory."""
    (begin, first), (end, last) = heard.recording["child"][0], heard.recording["child"][-1]
    busy_s = last[1] + last[2] - first[1] - first[2]
    share = 100 * busy_s / (end - begin)
    return f"telemetry child: {share:.2f} % of a core over {end - begin:.0f} s, {last[3] / 2**20:.1f} MiB"


def main(target: Path, scale: float) -> None:
    """Record where there is no recording yet, and print the table."""
    if not target.exists():
        record(target, scale)
    heard = Heard(json.loads(target.read_text()))
    if not heard.ours:
        sys.exit(f"the collector read no GPU: {heard.recording['events']}")
    rows = [(metric.attribute, judge(heard, metric)) for metric in metrics_of(GpuSample) if metric.attribute != "error"]
    if heard.facts:
        rows += identity(heard)
    for name, found in rows:
        pairs = found.get("medians") or {"": found.get("last", found.get("ours", ()))}
        told = "; ".join(f"{phase} {' '.join(_short(one) for one in pair)}" for phase, pair in pairs.items())
        sys.stdout.write(f"{name:30} | {found['verdict']:30} | {told}\n")
        for wrong in found.get("wrong", ())[:2]:
            sys.stdout.write(f"{'':30} | {wrong}\n")
    sys.stdout.write(cost(heard) + "\n")
    target.with_suffix(".verdicts.json").write_text(json.dumps(dict(rows), indent=1))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
