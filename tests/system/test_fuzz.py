"""The API fuzzed from its own description by every kind of caller; tests/proof/test_fuzz_long.py sends many more."""

from system.fuzzing import CALLERS, SETTINGS, add_tokens, fuzz, is_healthy, judge, needs_schemathesis, tell
from system.test_identity import needs_root

pytestmark = needs_root
REQUESTS = 360
SEED = 7717


def test_nothing_breaks_and_nobody_is_let_in(new_site):
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
