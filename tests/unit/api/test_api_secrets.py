"""Planted secrets never come back from any route that reads, in no form of them, to nobody."""

import json
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene import BOB
from test_api_visibility import everything

from dcdaemon.api.metrics.pages import make_pages
from dcdaemon.core.anomaly import Finding, Severity
from dcdaemon.core.event import Event, EventKind

SECRETS = st.text(string.ascii_letters + string.digits, min_size=10, max_size=30).map(lambda text: f"Q{text}Z")


@given(secret=SECRETS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_route_tells_a_planted_secret(server, secret):
    scene = server.fresh()
    argv = ["train.py", "--password", secret, f"--api-key={secret}", f"https://ada:{secret}@host/x", "-c",
            f"export HF_TOKEN={secret}; run"]  # fmt: skip
    body = {
        "jobs": [{"argv": argv, "cwd": "/work", "name": f"token={secret}"}],
        "env": {"API_TOKEN": secret, "X": secret},
    }
    answer = server.ada.post("/v1/jobs", body)
    scene.submit(actor=BOB)
    scene.cycle()
    job = scene.desk.book.get(1)
    scene.engine.report(job, 1, {"note": f"token={secret}"})
    scene.desk.refresh_reports()
    said = f"failed with password={secret}"
    scene.store.raise_anomalies([Finding("x", "job 1", Severity.WARNING, said, {"said": said}, 1)], scene.clock.now())
    scene.store.save_events([Event(1.0, EventKind.XID, "gpu 0", said, {"password": secret})])
    server.root.post("/v1/gpus/3/drain", {"reason": said})
    server.root.post("/v1/bookings", {"count": 1, "for_s": 60.0, "reason": said, "name": said})
    server.ada.post("/v1/jobs/cancel", {"select": ["1"]})
    page = make_pages(scene.desk, list, dcgm=False, node=None)["/metrics"]().decode()
    told = [json.dumps(answer), page, *(everything(one) for one in (server.ada, server.bob, server.root, server.local))]
    found = [text[max(0, text.index(secret) - 80) : text.index(secret) + 40] for text in told if secret in text]
    assert found == []
