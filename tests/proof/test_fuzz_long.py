"""At least 20,000 requests from the API's own description, by every kind of caller on both doors: nothing breaks."""

import pytest
from system.fuzzing import CALLERS, SETTINGS, add_tokens, fuzz, is_healthy, judge, needs_schemathesis, tell
from system.test_identity import needs_root

pytestmark = [pytest.mark.proof, needs_root]
REQUESTS = 20_000
SEED = 7717


def test_twenty_thousand_requests_break_nothing(new_site):
    needs_schemathesis()
    site = new_site(**SETTINGS)
    add_tokens(site)
    site.start()
    reports = fuzz(site, REQUESTS, SEED)
    for caller in CALLERS:
        tell(caller, reports[caller.name])
        judge(caller, reports[caller.name])
    assert sum(report["requests"] for report in reports.values()) >= REQUESTS
    is_healthy(site)
