"""SIGKILL of a shim or the fork-server at each named step, and of the daemon at the same time."""

import pytest
from system import deadly_shims
from system.shim_deaths import live_through_death

pytestmark = pytest.mark.proof


@pytest.mark.parametrize("step", deadly_shims.STEPS)
def test_a_daemon_that_dies_with_a_shim_repeats_nothing_and_tells_no_untruth(new_site, step):
    live_through_death(new_site, step, daemon_dies_too=True)
