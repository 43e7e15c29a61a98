"""What the machine does over time: GPUs at work, GPUs idle, and those idle while a job waits that they could run."""


class Meter:
    """Sums GPU time between events; all sums in GPU-seconds."""

    def __init__(self, gpus: int, at: float) -> None:
        """Begin with all GPUs idle and nobody waiting."""
        self.busy_gpu_s = 0.0
        self.stranded_gpu_s = 0.0
        self.began = self.at = at
        self._gpus = gpus
        self._idle = gpus
        #: How many jobs wait, by the GPUs they need; none is kept at 0.
        self._waiting: dict[int, int] = {}

    def pass_to(self, now: float) -> None:
        """Book the time since the last event."""
        elapsed_s = now - self.at
        self.at = now
        if elapsed_s <= 0:
            return
        self.busy_gpu_s += (self._gpus - self._idle) * elapsed_s
        if self._idle and self._waiting and min(self._waiting) <= self._idle:
            self.stranded_gpu_s += self._idle * elapsed_s

    def wait(self, gpus: int) -> None:
        """Note a job that waits for so many GPUs."""
        self._waiting[gpus] = self._waiting.get(gpus, 0) + 1

    def start(self, gpus: int, taken: int) -> None:
        """Note that a waiting job starts; a gang may take more GPUs than it needs."""
        self._idle -= taken
        self._waiting[gpus] -= 1
        if not self._waiting[gpus]:
            del self._waiting[gpus]

    def end(self, taken: int) -> None:
        """Note that a job gives its GPUs back."""
        self._idle += taken
