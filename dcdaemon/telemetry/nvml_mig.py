"""The MIG instances of a GPU: which there are, their memory, and how busy their part of the GPU is."""

from dcdaemon.telemetry.nvml_catalog import MIG_BELIEFS, MIG_METRICS
from dcdaemon.telemetry.nvml_errors import unsupported
from dcdaemon.telemetry.nvml_gpm import open_gpm
from dcdaemon.telemetry.nvml_library import pynvml
from dcdaemon.telemetry.nvml_questions import MEMORY_OF_INSTANCE, Question
from dcdaemon.telemetry.nvml_values import Asker, Values

#: Instance like `9/0`, uuid, profile, then the values in the order of MIG_BELIEFS.
Row = tuple[str, str | None, str | None, float | None, float | None, float | None, float | None, float | None]
_MEMORY = ("mem_used_bytes", "mem_total_bytes")


class Instance:
    """One MIG instance by its handle."""

    def __init__(self, gpu: object, handle: object, every_s: float) -> None:
        instance = pynvml.nvmlDeviceGetGpuInstanceId(handle)
        self.name = f"{instance}/{pynvml.nvmlDeviceGetComputeInstanceId(handle)}"
        self.uuid: str | None = pynvml.nvmlDeviceGetUUID(handle)
        # The name ends like "NVIDIA H100 80GB HBM3 MIG 1g.10gb".
        self._profile = pynvml.nvmlDeviceGetName(handle).rpartition(" MIG ")[2] or None
        self._values = Values(MIG_BELIEFS)
        self._total_bytes: float | None = None
        self._memory = Question(handle, _MEMORY, (MEMORY_OF_INSTANCE,), self._values, every_s)
        self._gpm = open_gpm(gpu, MIG_METRICS, self._values, every_s, instance)

    @property
    def is_over(self) -> bool:
        """Whether its handle tells nothing more: one that was made anew, with the old UUID too, has another one."""
        return self._memory.over

    def read(self, now_s: float) -> Row:
        """Read memory and activity."""
        self._memory.ask(now_s)
        if self._gpm is not None:
            self._gpm.ask(now_s)
        used_bytes, total_bytes, *activity = self._values.now
        # Its size does not change; it is unknown only once nobody will tell it any more.
        self._total_bytes = None if self.is_over else total_bytes or self._total_bytes
        return self.name, self.uuid, self._profile, used_bytes, self._total_bytes, *activity  # type: ignore[return-value]

    def free(self) -> None:
        """Give back what the driver allocated."""
        if self._gpm is not None:
            self._gpm.free()


class Instances(Asker):
    """All MIG instances of a GPU: the layout is looked up seldom, the instances are read more often."""

    def __init__(self, gpu: object, every_s: float, layout_every_s: float) -> None:
        super().__init__(every_s)
        self._gpu, self._layout_every_s, self._layout_due_s = gpu, layout_every_s, 0.0
        self._known = True
        #: Whether the last list that was told had any in it; None before the first one.
        self._told: bool | None = None
        self._instances: list[Instance] = []
        #: None until it is known, then whether the GPU is cut.
        self.cut: bool | None = None
        self.news: list[list[Row]] = []

    @property
    def over(self) -> bool:
        """Whether this GPU cannot be cut."""
        return not self._known

    def ask(self, now_s: float) -> bool:
        """Read every instance, after a look at which there are when that is due."""
        try:
            if now_s >= self._layout_due_s:
                self._look_up()
                self._layout_due_s = now_s + self._layout_every_s
            rows = [instance.read(now_s) for instance in self._instances]
        except pynvml.NVMLError as error:
            unsupported(error.value)  # raises when the GPU is lost
            self._layout_due_s = 0.0  # an instance that is gone: look again
            return False
        if any(instance.is_over for instance in self._instances):
            self._layout_due_s = 0.0
        if rows or self._told or (self._told is None and self.cut):
            self.news, self._told = [rows], bool(rows)
        return True

    def _look_up(self) -> None:
        found = {pynvml.nvmlDeviceGetUUID(handle): handle for handle in self._handles()}
        for instance in [one for one in self._instances if one.uuid not in found or one.is_over]:
            self._instances.remove(instance)
            instance.free()
        known = {instance.uuid for instance in self._instances}
        self._instances += [
            Instance(self._gpu, handle, self.every_s) for uuid, handle in found.items() if uuid not in known
        ]

    def _handles(self) -> list[object]:
        try:
            self.cut = pynvml.nvmlDeviceGetMigMode(self._gpu)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
        except pynvml.NVMLError as error:
            if not unsupported(error.value):
                raise  # what it was before stands
            self._known, self.cut = False, False
            return []
        if not self.cut:
            return []
        handles = []
        for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(self._gpu)):
            try:
                handles.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(self._gpu, index))
            except pynvml.NVMLError as error:
                if not unsupported(error.value):  # no instance has this number
                    raise
        return handles
