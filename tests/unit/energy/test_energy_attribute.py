"""Whose energy it was."""

from itertools import permutations

import pytest

from dcdaemon.core.energy import IDLE, EnergyMethod, EnergyShare
from dcdaemon.energy.attribute import Holding, attribute, held_seconds, split
from dcdaemon.energy.integrate import Measured


def measured(energy_mj: int = 1000, from_at: float = 100.0, to_at: float = 110.0, **flags) -> Measured:
    return Measured(energy_mj, EnergyMethod.COUNTER, from_at, to_at, **flags)


def test_a_gpu_nobody_holds_is_idle():
    metered = attribute("node1", 2, measured(), 77, [Holding(5, gpu=1, from_at=0.0)])
    assert metered.shares == (EnergyShare("node1", 2, IDLE, 1000, 10.0),)
    assert (metered.counter_mj, metered.reset) == (77, False)


def test_a_job_that_holds_it_throughout_gets_everything():
    metered = attribute("node1", 2, measured(), None, [Holding(5, gpu=2, from_at=0.0)])
    assert metered.shares == (EnergyShare("node1", 2, 5, 1000, 10.0),)


def test_a_hand_over_is_split_by_time_with_the_pause_idle():
    holdings = [Holding(5, 2, from_at=0.0, to_at=103.0), Holding(6, 2, from_at=104.0)]
    metered = attribute("node1", 2, measured(), None, holdings)
    assert {share.job_id: (share.energy_mj, share.held_s) for share in metered.shares} == {
        IDLE: (100, 1.0), 5: (300, 3.0), 6: (600, 6.0),
    }  # fmt: skip


def test_jobs_that_share_a_gpu_share_by_weight():
    holdings = [Holding(5, 2, 0.0, weight=3.0), Holding(6, 2, 105.0, weight=1.0)]
    assert held_seconds(2, 100.0, 110.0, holdings) == {5: 5.0 + 3.75, 6: 1.25}


def test_two_attempts_of_one_job_are_one_share():
    holdings = [Holding(5, 2, 0.0, 104.0), Holding(5, 2, 106.0)]
    assert held_seconds(2, 100.0, 110.0, holdings) == {5: 8.0, IDLE: 2.0}


def test_a_job_that_started_after_the_sample_gets_nothing_of_it():
    assert held_seconds(2, 100.0, 110.0, [Holding(5, 2, 110.4)]) == {IDLE: 10.0}


def test_a_clock_set_back_an_hour_does_not_take_the_gpu_from_its_job():
    assert held_seconds(2, 100.0, 110.0, [Holding(5, 2, 3700.0)]) == {5: 10.0}


def test_an_interval_without_length_is_idle():
    metered = attribute("node1", 2, measured(9, 110.0, 110.0), None, [Holding(5, 2, 0.0)])
    assert [(share.job_id, share.energy_mj) for share in metered.shares] == [(IDLE, 9)]


@pytest.mark.parametrize("flags", [{"reset": True}, {"implausible": True}])
def test_a_counter_that_was_not_followed_is_flagged(flags):
    assert attribute("node1", 2, measured(**flags), 77, []).reset


def test_split_gives_the_odd_millijoule_to_the_largest_remainder():
    assert split(100, {1: 1.0, 2: 1.0, 3: 1.0}) == {1: 34, 2: 33, 3: 33}
    assert split(10, {1: 0.26, 2: 0.26, 3: 0.48}) == {1: 3, 2: 2, 3: 5}
    assert split(0, {1: 1.0, 2: 2.0}) == {1: 0, 2: 0}


def test_split_does_not_depend_on_the_order_of_its_input():
    parts = [(3, 1.0), (1, 1.0), (2, 1.0), (IDLE, 1.0)]
    results = [split(1001, dict(order)) for order in permutations(parts)]
    assert all(result == {IDLE: 251, 1: 250, 2: 250, 3: 250} for result in results)


def test_split_is_exact_where_floats_are_not():
    parts = split(10**18 + 1, {1: 0.1, 2: 0.2})
    assert sum(parts.values()) == 10**18 + 1
