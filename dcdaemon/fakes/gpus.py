"""SimulatedGpus: pretend H100s whose readings follow the load of the real processes of the jobs on them.

The model is a stand-in, not a measurement. Power limit (700 W) and memory (80 GB) are those of NVIDIA's data
sheet of the H100 SXM; idle power, time constants and thermal resistance are chosen so that the curves look
like those of such a board: power follows load within seconds, temperature within a minute. Memory is three
times what the processes hold on the host, and half a GiB for a context.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dcdaemon.core.gpu import GpuInfo, GpuProcess
from dcdaemon.core.ports import Clock
from dcdaemon.core.samples import GpuReading, GpuSample

_MEM_TOTAL_BYTES = 80 * 1024**3
_MEM_BASE_BYTES = 4 * 1024**2
_MEM_CONTEXT_BYTES = 512 * 1024**2
_MEM_PER_RSS = 3
_POWER_IDLE_W = 70.0
_POWER_LIMIT_W = 700.0
_POWER_TAU_S = 2.0
_AMBIENT_C = 30.0
_THERMAL_C_PER_W = 0.07
_THERMAL_TAU_S = 30.0
_UTIL_GAIN = 3.0
_SM_CLOCK_IDLE_HZ, _SM_CLOCK_BUSY_HZ = 345_000_000, 1_980_000_000
_MEM_CLOCK_HZ = 2_619_000_000
_IDLE_BELOW = 0.01
#: How busy the units are, for a utilisation of 1.
_SM_ACTIVE, _SM_OCCUPANCY, _TENSOR_ACTIVE, _DRAM_ACTIVE = 0.9, 0.5, 0.55, 0.6
_CLOCKS_DOWN_IDLE = 0x1
_RELEASED = "the driver is released (dcd gpus release --end takes it back)"


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """What a job's processes do on one GPU: busy CPU cores, resident memory, and which processes they are."""

    cpu_share: float = 0.0
    rss_bytes: int = 0
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GpuState:
    """Where the model of one GPU stands; the energy is what it has drawn since it began."""

    power_w: float = _POWER_IDLE_W
    temp_c: float = _AMBIENT_C + _THERMAL_C_PER_W * _POWER_IDLE_W
    energy_mj: float = 0.0


_NO_LOAD = GpuLoad()


def utilisation(cpu_share: float) -> float:
    """Return the share of time the GPU is busy: 95 % when one core feeds it, never quite 1."""
    return 1 - math.exp(-_UTIL_GAIN * max(0.0, cpu_share))


def target_power_w(util_ratio: float) -> float:
    """Return the power that a lasting utilisation draws; concave, as boards are."""
    return _POWER_IDLE_W + (_POWER_LIMIT_W - _POWER_IDLE_W) * float(util_ratio**0.8)


def advance(state: GpuState, load: GpuLoad, dt_s: float) -> GpuState:
    """Return the state after `dt_s` of constant load, solved exactly: many small steps equal one large one.

    Power approaches its target with one pole, dP/dt = (target - P) / tau; energy is its integral; temperature
    follows power through a thermal resistance and capacity, dT/dt = (ambient + R P - T) / tau.
    """
    target_w = target_power_w(utilisation(load.cpu_share))
    excess_w = state.power_w - target_w
    power_decay = math.exp(-dt_s / _POWER_TAU_S)
    energy_j = target_w * dt_s + excess_w * _POWER_TAU_S * (1 - power_decay)

    steady_c = _AMBIENT_C + _THERMAL_C_PER_W * target_w
    driven_c = _THERMAL_C_PER_W * excess_w / (1 - _THERMAL_TAU_S / _POWER_TAU_S)
    free_c = state.temp_c - steady_c - driven_c
    return GpuState(
        power_w=target_w + excess_w * power_decay,
        temp_c=steady_c + driven_c * power_decay + free_c * math.exp(-dt_s / _THERMAL_TAU_S),
        energy_mj=state.energy_mj + energy_j * 1000,
    )


class SimulatedGpus:
    """Implements GpuSource without a thread: time passes inside `read`, at most once in half an interval."""

    def __init__(
        self,
        count: int,
        loads: Callable[[], Mapping[int, GpuLoad]],
        clock: Clock,
        interval_s: float = 1.0,
    ) -> None:
        self._infos = tuple(_info(index) for index in range(count))
        self._loads, self._clock, self._interval_s = loads, clock, interval_s
        self._states = [GpuState()] * count
        self._read_s = clock.monotonic()
        self._reading: GpuReading | None = None
        self._released: tuple[float, float] | None = None

    def start(self) -> None:
        """Begin now, with cool and idle GPUs."""
        self._read_s = self._clock.monotonic()

    def wait_known(self, timeout_s: float) -> bool:  # noqa: ARG002  nothing to wait for
        """Return at once: pretend GPUs are known from the start."""
        return True

    def read(self) -> GpuReading:
        """Return how the GPUs stand after the load of the time since the last reading."""
        now_s = self._clock.monotonic()
        elapsed_s = now_s - self._read_s
        released = self._released
        if released is not None and now_s < released[0]:
            return GpuReading(self._infos, (), driver_error=_RELEASED, released_until=released[1])
        if self._reading is None or elapsed_s >= self._interval_s / 2:
            self._reading = self._advance(max(0.0, elapsed_s), now_s)
            self._read_s = now_s
        return self._reading

    def release(self, for_s: float) -> None:
        """Tell nothing for so long, as if the driver were gone; 0 ends it."""
        self._released = (self._clock.monotonic() + for_s, self._clock.now() + for_s) if for_s > 0 else None

    def close(self) -> None:
        """Do nothing: there is no driver to let go of."""

    def _advance(self, elapsed_s: float, now_s: float) -> GpuReading:
        loads = self._loads()
        at = self._clock.now()
        samples = []
        for gpu, state in enumerate(self._states):
            load = loads.get(gpu, _NO_LOAD)
            self._states[gpu] = advance(state, load, elapsed_s)
            samples.append(_sample(gpu, self._states[gpu], load, at, now_s))
        return GpuReading(gpus=self._infos, samples=tuple(samples), driver_version="simulated")


def _info(index: int) -> GpuInfo:
    return GpuInfo(
        index=index,
        uuid=f"GPU-sim-{index:04d}",
        name="Simulated H100",
        mem_total_bytes=_MEM_TOTAL_BYTES,
        pci_bus_id=f"00000000:{0x10 + index:02X}:00.0",
        power_limit_w=_POWER_LIMIT_W,
        simulated=True,
    )


def _sample(gpu: int, state: GpuState, load: GpuLoad, at: float, now_s: float) -> GpuSample:
    util_ratio = utilisation(load.cpu_share)
    idle = util_ratio <= _IDLE_BELOW
    held_bytes = _MEM_CONTEXT_BYTES * bool(load.pids) + _MEM_PER_RSS * load.rss_bytes
    held_bytes = min(held_bytes, _MEM_TOTAL_BYTES - _MEM_BASE_BYTES)
    return GpuSample(
        at=at,
        monotonic_s=now_s,
        gpu=gpu,
        util_ratio=util_ratio,
        mem_bw_busy_ratio=util_ratio / 2,
        mem_used_bytes=_MEM_BASE_BYTES + held_bytes,
        mem_total_bytes=_MEM_TOTAL_BYTES,
        mem_free_bytes=_MEM_TOTAL_BYTES - _MEM_BASE_BYTES - held_bytes,
        power_w=state.power_w,
        power_instant_w=state.power_w,
        energy_counter_mj=int(state.energy_mj),
        temp_c=state.temp_c,
        sm_clock_hz=_SM_CLOCK_IDLE_HZ if idle else _SM_CLOCK_BUSY_HZ,
        mem_clock_hz=_MEM_CLOCK_HZ,
        sm_clock_max_hz=_SM_CLOCK_BUSY_HZ,
        mem_clock_max_hz=_MEM_CLOCK_HZ,
        clock_event_reasons=_CLOCKS_DOWN_IDLE if idle else 0,
        sm_active_ratio=_SM_ACTIVE * util_ratio,
        sm_occupancy_ratio=_SM_OCCUPANCY * util_ratio,
        tensor_active_ratio=_TENSOR_ACTIVE * util_ratio,
        dram_active_ratio=_DRAM_ACTIVE * util_ratio,
        power_limit_w=_POWER_LIMIT_W,
        processes=tuple(GpuProcess(pid, held_bytes // len(load.pids)) for pid in load.pids),
        simulated=True,
    )
