"""A container as the node sees it: by which program, under which id, whose it is."""

from dataclasses import dataclass

#: As many characters of an id as the runtimes' own tools show.
SHORT_ID_CHARACTERS = 12
#: What ends a container of each runtime.
_STOP = {"docker": "docker stop", "podman": "podman stop", "nerdctl": "nerdctl stop"}


@dataclass(frozen=True, slots=True)
class Container:
    """`owner_uid` started it (0: a runtime that runs as root); `names_job` is what its environment says of a job."""

    runtime: str
    id: str
    owner_uid: int = 0
    image: str | None = None
    names_job: int | None = None

    @property
    def short_id(self) -> str:
        """The id as people know it."""
        return self.id[:SHORT_ID_CHARACTERS]

    @property
    def label(self) -> str:
        """What a person calls it: `docker 3f2a1b9c0d12 (pytorch:24.05)`."""
        return f"{self.runtime} {self.short_id}" + (f" ({self.image})" if self.image else "")

    @property
    def stop_command(self) -> str | None:
        """What ends it; None where only an orchestrator should."""
        command = _STOP.get(self.runtime)
        return command and f"{command} {self.short_id}"
