"""The API fuzzed from its own description by every kind of caller; tests/proof/test_fuzz_long.py sends many more."""

from system.fuzzing import break_nothing
from system.test_identity import needs_root

pytestmark = needs_root


def test_nothing_breaks_and_nobody_is_let_in(new_site):
    break_nothing(new_site, requests=360)
