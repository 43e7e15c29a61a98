import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcdaemon.fakes.clock import FakeClock
from dcdaemon.fakes.gpus import GpuLoad, GpuState, SimulatedGpus, advance, target_power_w, utilisation

shares = st.floats(0, 64)
spans_s = st.floats(0, 600)
states = st.builds(GpuState, st.floats(70, 700), st.floats(30, 90), st.floats(0, 1e9))


@given(states, shares, spans_s, spans_s)
def test_two_steps_are_one(state, share, first_s, second_s):
    load = GpuLoad(share)
    twice = advance(advance(state, load, first_s), load, second_s)
    once = advance(state, load, first_s + second_s)
    assert twice.power_w == pytest.approx(once.power_w, rel=1e-9)
    assert twice.temp_c == pytest.approx(once.temp_c, rel=1e-6)
    assert twice.energy_mj == pytest.approx(once.energy_mj, rel=1e-9, abs=1e-3)


@given(states, shares, spans_s)
def test_power_and_energy_stay_within_the_board(state, share, span_s):
    after = advance(state, GpuLoad(share), span_s)
    drawn_j = (after.energy_mj - state.energy_mj) / 1000
    assert 70 - 1e-6 <= after.power_w <= 700 + 1e-6
    assert 70 * span_s - 1e-3 <= drawn_j <= 700 * span_s + 1e-3
    assert 30 - 1e-6 <= after.temp_c <= 90 + 1e-6


def test_energy_is_the_integral_of_the_power_that_was_shown():
    state, load, step_s = GpuState(), GpuLoad(0.7), 0.001
    shown_j, powers = 0.0, []
    for _ in range(5000):
        before = state.power_w
        state = advance(state, load, step_s)
        shown_j += (before + state.power_w) / 2 * step_s
        powers.append(state.power_w)
    assert state.energy_mj / 1000 == pytest.approx(shown_j, rel=1e-6)
    assert powers == sorted(powers)


def test_a_lasting_load_settles_at_its_power_and_temperature():
    state = advance(GpuState(), GpuLoad(1.0), 3600)
    assert state.power_w == pytest.approx(target_power_w(utilisation(1.0)))
    assert state.temp_c == pytest.approx(30 + 0.07 * state.power_w)
    assert advance(state, GpuLoad(), 3600).temp_c == pytest.approx(30 + 0.07 * 70)


@given(shares, shares)
def test_more_load_is_never_less_utilisation(one, other):
    low, high = sorted((one, other))
    assert 0 <= utilisation(low) <= utilisation(high) <= 1
    assert utilisation(0) == 0


def test_only_the_gpu_under_load_works_and_everything_is_marked_simulated():
    clock, load = FakeClock(), GpuLoad(0.9, rss_bytes=1024**3, pids=(7, 8))
    gpus = SimulatedGpus(3, lambda: {1: load}, clock)
    gpus.start()
    gpus.read()
    clock.advance(30)
    idle, busy, _ = gpus.read().samples

    assert (idle.util_ratio, idle.processes, idle.power_w) == (0, (), 70)
    assert busy.util_ratio > 0.9
    assert busy.power_w > 600
    assert busy.mem_used_bytes == 4 * 1024**2 + 512 * 1024**2 + 3 * 1024**3
    assert [p.pid for p in busy.processes] == [7, 8]
    assert sum(p.mem_used_bytes for p in busy.processes) <= busy.mem_used_bytes
    assert idle.energy_counter_mj == 70 * 30 * 1000
    assert all(s.simulated for s in gpus.read().samples)
    assert all(g.simulated and g.name == "Simulated H100" for g in gpus.read().gpus)


def test_memory_never_exceeds_the_board():
    gpus = SimulatedGpus(1, lambda: {0: GpuLoad(1, rss_bytes=10**12, pids=(7,))}, FakeClock())
    (sample,) = gpus.read().samples
    assert sample.mem_used_bytes == sample.mem_total_bytes


def test_reading_twice_at_once_asks_for_the_load_once():
    asked, clock = [], FakeClock()
    gpus = SimulatedGpus(1, lambda: asked.append(1) or {}, clock)
    assert gpus.read() is gpus.read()
    clock.advance(1)
    gpus.read()
    assert len(asked) == 2
