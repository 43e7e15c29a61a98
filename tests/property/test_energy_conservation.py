"""Energy is conserved: whatever the samples, holdings, resets, gaps and restarts, parts equal the whole."""

from fractions import Fraction
from math import nan

from hypothesis import given, settings
from hypothesis import strategies as st

from dcdaemon.core.energy import IDLE
from dcdaemon.core.ports import MeterState
from dcdaemon.core.samples import GpuSample
from dcdaemon.energy.attribute import Holding, split
from dcdaemon.energy.meter import Meter

NODE, GPU, UUID = "node1", 0, "GPU-a"
START_AT = 10_000.0

seconds = st.floats(0.01, 120.0)
holdings = st.lists(
    st.builds(
        Holding,
        job_id=st.integers(1, 4),
        gpu=st.integers(0, 1),
        from_at=st.floats(START_AT - 500, START_AT + 4000),
        to_at=st.none() | st.floats(START_AT - 500, START_AT + 4000),
        weight=st.floats(0.1, 10.0),
    ),
    max_size=6,
)


@st.composite
def histories(draw):
    """Draw samples of a bad day: gaps, unknowns, counter resets and nonsense, a wall clock that steps."""
    at, monotonic_s, samples = START_AT, 5.0, []
    for _ in range(draw(st.integers(1, 25))):
        passed_s = draw(seconds)
        monotonic_s += passed_s
        at += passed_s + draw(st.sampled_from([0.0, 0.0, 0.0, 3600.0, -3600.0]))
        samples.append(
            GpuSample(
                at=at,
                monotonic_s=monotonic_s,
                gpu=GPU,
                power_w=draw(st.sampled_from([None, nan, -5.0]) | st.floats(0, 2000)),
                energy_counter_mj=draw(st.none() | st.integers(0, 10**12)),
                power_limit_w=draw(st.none() | st.just(700.0)),
            )
        )
    return samples


@settings(deadline=None)  # a busy machine is no failure
@given(histories(), holdings)
def test_the_parts_equal_the_whole_and_nothing_is_negative(history, held):
    meter = Meter(NODE, GPU, UUID)
    for sample in history:
        meter, metered = meter.advance(sample, held)
        if metered is None:
            continue
        assert sum(share.energy_mj for share in metered.shares) == metered.energy_mj >= 0
        assert all(share.energy_mj >= 0 and share.held_s >= 0 for share in metered.shares)
        length_s = metered.to_at - metered.from_at
        assert abs(sum(share.held_s for share in metered.shares) - length_s) < 1e-6
        assert metered.energy_mj <= 1000 * 2 * 1500 * (length_s + 0.2) + 1
        assert {share.job_id for share in metered.shares} <= {IDLE} | {
            holding.job_id for holding in held if holding.gpu == GPU
        }


@settings(deadline=None)  # a busy machine is no failure
@given(
    steps=st.lists(st.tuples(seconds, st.floats(0, 700), st.booleans()), min_size=1, max_size=25),
    held=holdings,
)
def test_a_true_counter_is_booked_to_the_last_millijoule_through_any_restarts(steps, held):
    at, counter_mj, booked_mj = START_AT, 123_456, 0
    state = MeterState(GPU, UUID, at, counter_mj)
    meter = Meter.resume(NODE, GPU, UUID, [state])
    for passed_s, power_w, restart in steps:
        at += passed_s
        counter_mj += int(power_w * passed_s * 1000)
        sample = GpuSample(at=at, monotonic_s=at, gpu=GPU, energy_counter_mj=counter_mj, power_limit_w=700.0)
        meter, metered = meter.advance(sample, held)
        booked_mj += sum(share.energy_mj for share in metered.shares)
        if restart:
            state = MeterState(GPU, UUID, metered.to_at, metered.counter_mj)
            meter = Meter.resume(NODE, GPU, UUID, [state])
    assert booked_mj == counter_mj - 123_456


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(st.floats(0.01, 29.0), st.floats(0, 700)), min_size=1, max_size=25), holdings)
def test_integrated_power_is_booked_but_for_a_fraction_of_a_millijoule(steps, held):
    at, last_w, exact_mj, booked_mj = START_AT, 0.0, 0.0, 0
    meter, _ = Meter(NODE, GPU, UUID).advance(GpuSample(at=at, monotonic_s=at, gpu=GPU, power_w=last_w), held)
    for passed_s, power_w in steps:
        at += passed_s
        exact_mj += (last_w + power_w) / 2 * passed_s * 1000
        meter, metered = meter.advance(GpuSample(at=at, monotonic_s=at, gpu=GPU, power_w=power_w), held)
        booked_mj += sum(share.energy_mj for share in metered.shares)
        last_w = power_w
    assert -0.01 < exact_mj - booked_mj < 1.01


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.integers(0, 10**15),
    st.dictionaries(st.integers(0, 9), st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=8),
)
def test_largest_remainder_stays_within_one_of_the_exact_share(total, weights):
    parts = split(total, weights)
    assert sum(parts.values()) == total
    whole = sum(map(Fraction, weights.values()))
    if whole > 0:
        assert all(abs(parts[key] - total * Fraction(weight) / whole) < 1 for key, weight in weights.items())
