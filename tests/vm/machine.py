"""A virtual machine of its own kernel, with systemd as PID 1: start it, run commands in it, cut its power."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from vm.agent_link import AgentLink
from vm.disk import Disk
from vm.image import Image
from vm.steps import step

#: Emulation is slow, and the machine beneath may be busy: nothing here is a measurement.
WITHIN_S = 300.0
_CPUS, _MEMORY_MIB = 2, 1536
_COMMAND_LINE = "console=ttyS0 quiet mitigations=off panic=-1 systemd.show_status=1 systemd.log_color=0"


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said on both streams."""

    rc: int
    out: str


class Machine:
    """One machine over all its boots; `folder` holds its sockets and consoles."""

    def __init__(self, image: Image, folder: Path) -> None:
        self._image, self._folder = image, folder
        self._disk = Disk(image.disk)
        self._boots = 0
        self._qemu: subprocess.Popen[bytes] | None = None
        self._agent: AgentLink | None = None

    # ------------------------------------------------------------ power

    def boot(self) -> None:
        """Switch on, and return when systemd says that it is up."""
        assert self._qemu is None, "the machine is on"
        self._boots += 1
        with step(f"boot {self._boots}"):
            self._qemu = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL)
            self._agent = AgentLink(self._folder / "agent", WITHIN_S)
            state = self.run("systemctl", "is-system-running", "--wait").out.strip()
        assert state == "running", f"{state}: {self.run('systemctl', '--failed').out}"

    def power_cut(self) -> int:
        """Switch off without a word; return how many writes the disk had not been told to keep."""
        assert self._qemu is not None, "the machine is off"
        self._qemu.kill()
        self._gone()
        return self._disk.lost_power()

    def shut_down(self) -> None:
        """Switch off in order."""
        assert self._qemu is not None, "the machine is off"
        with step("shut down"):
            self.run("systemctl", "poweroff")
            self._qemu.wait(WITHIN_S)
        self._gone()
        self._disk.was_shut_down()

    def reboot(self) -> None:
        """Switch off and on again in order."""
        self.shut_down()
        self.boot()

    def close(self) -> None:
        """Leave no process behind."""
        if self._qemu is not None:
            self._qemu.kill()
            self._gone()

    def _gone(self) -> None:
        assert self._qemu is not None
        assert self._agent is not None
        self._qemu.wait()
        self._agent.close()
        self._qemu = self._agent = None

    def _command(self) -> tuple[str, ...]:
        agent = self._folder / "agent"
        agent.unlink(missing_ok=True)
        return (
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", str(_CPUS), "-m", str(_MEMORY_MIB), "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-nic", "none", "-serial", f"file:{self.console()}",
            "-kernel", str(self._image.kernel), "-initrd", str(self._image.initramfs), "-append", _COMMAND_LINE,
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={agent},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=dcd.agent", *self._disk.options(),
        )  # fmt: skip

    def console(self) -> Path:
        """Give the file with what the machine said on its serial line since this boot."""
        return self._folder / f"console-{self._boots}.log"

    # ------------------------------------------------------------ commands

    def run(self, *argv: str, user: str = "root", stdin: str = "", within_s: float = WITHIN_S) -> Outcome:
        """Run a command as a user, without a shell."""
        reply = self._ask({"op": "run", "argv": argv, "user": user, "stdin": stdin, "within_s": within_s}, within_s)
        return Outcome(*reply)

    def check(self, *argv: str, user: str = "root", stdin: str = "", within_s: float = WITHIN_S) -> str:
        """Run a command that has to succeed; return what it said."""
        done = self.run(*argv, user=user, stdin=stdin, within_s=within_s)
        assert done.rc == 0, f"{argv} as {user} ended with {done.rc}: {done.out}"
        return done.out

    def put(self, path: str, data: bytes, *, user: str = "root", mode: int = 0o644) -> None:
        """Write a file of a user."""
        self._ask({"op": "put", "path": path, "data": data, "user": user, "mode": mode}, WITHIN_S)

    def get(self, path: str) -> Outcome:
        """Ask the daemon for a document as root; `rc` is the status, 0 when it does not answer."""
        return Outcome(*self._ask({"op": "get", "path": path}, WITHIN_S))

    def until(self, *argv: str, says: str, user: str = "root", within_s: float = WITHIN_S) -> str:
        """Repeat a command until it says something; return all it said."""
        deadline_s = time.monotonic() + within_s
        while says not in (outcome := self.run(*argv, user=user)).out:
            assert time.monotonic() < deadline_s, f"{argv} never said {says!r}: {outcome}"
        return outcome.out

    def _ask(self, request: dict[str, object], within_s: float) -> tuple[int, str]:
        assert self._agent is not None, "the machine is off"
        return self._agent.ask(request, within_s)
