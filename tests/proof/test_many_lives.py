"""Thousands of random lives of a queue: those of tests/property, many more of them."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

sys.path.append(str(Path(__file__).parents[1] / "property"))

from test_queue_promises import Life
from test_schedule_life import QuietLife, RoughLife
from test_submission_properties import Queue

pytestmark = pytest.mark.proof
MANY = settings(max_examples=1000, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("life", [QuietLife, RoughLife, Life, Queue])
def test_whatever_happens_in_a_thousand_lives_every_promise_is_kept(life):
    run_state_machine_as_test(life, settings=MANY)
