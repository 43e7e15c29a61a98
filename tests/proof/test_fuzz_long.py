"""At least 20,000 requests from the API's own description, by every kind of caller on both doors: nothing breaks."""

import pytest
from system.fuzzing import break_nothing
from system.test_identity import needs_root

pytestmark = [pytest.mark.proof, needs_root]


def test_twenty_thousand_requests_break_nothing(new_site):
    break_nothing(new_site, requests=20_000)
