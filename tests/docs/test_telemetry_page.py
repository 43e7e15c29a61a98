"""docs/telemetry.md lists every metric and every kind of event, as the code has them."""

import re
from pathlib import Path

import pytest

from contributing.list_metrics import PAGE, page
from dcdaemon.api.metrics.own import OWN
from dcdaemon.core.event import EventKind
from dcdaemon.core.metric import Metric, metrics_of
from dcdaemon.core.samples import KINDS

ALL: list[tuple[type, Metric]] = [(kind, metric) for kind in KINDS for metric in metrics_of(kind)]


def test_the_page_is_what_the_generator_writes():
    text = PAGE.read_text()
    assert page(text) == text, "run: python -m contributing.list_metrics"


def test_the_generator_keeps_everything_outside_its_markers():
    text = PAGE.read_text()
    outside = re.sub(r"(<!-- [a-z ]+: written by contributing/list_metrics.py -->\n).*?(<!-- end)", r"\1\2", text,
                     flags=re.DOTALL)  # fmt: skip
    assert page(outside) == text
    with pytest.raises(ValueError, match="not enough values to unpack"):
        page(text.replace("<!-- end of events -->", ""))


def test_every_metric_says_what_it_is_and_where_it_is_read():
    for kind, metric in ALL:
        assert re.fullmatch(r"[A-Z0-9].*[.]", metric.meaning), f"{kind.__name__}.{metric.attribute}: {metric.meaning!r}"
        assert metric.source, f"{kind.__name__}.{metric.attribute} has no source"
        assert metric.every_s > 0


def test_every_kind_of_event_and_every_metric_of_our_own_says_what_it_means():
    for name, meaning in [*((kind, kind.meaning) for kind in EventKind), *((n, own.meaning) for n, own in OWN.items())]:
        assert re.fullmatch(r"[A-Z0-9].*[.]", meaning), f"{name}: {meaning!r}"


def test_no_name_of_another_exporter_is_given_twice():
    for of in ("dcgm", "node"):
        names = [str(getattr(named, "name", named)) for _, metric in ALL if (named := getattr(metric, of)) is not None]
        assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)


def test_the_page_names_every_metric(tmp_path: Path):
    text = PAGE.read_text()
    for kind, metric in ALL:
        assert f"| `{metric.attribute}` |" in text
        assert metric.prometheus(kind.KIND) in text or f"dcd_{kind.KIND}_" in text
