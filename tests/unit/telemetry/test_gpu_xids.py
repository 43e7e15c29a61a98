import pytest

from dcdaemon.core.event import Event, EventKind
from dcdaemon.telemetry.recovery_action import RecoveryActions, action_in
from dcdaemon.telemetry.xid import KERNEL, NVML, Xid, XidDesk, parse_kernel_line, pci_of
from dcdaemon.telemetry.xid_codes import MEANINGS, meaning

AT = 1e9
FALLEN = "NVRM: GPU 0000:01:00.0: GPU has fallen off the bus."
OLDER_FALLEN = (
    "NVRM: The NVIDIA GPU 0000:b3:00.0\n"
    "               NVRM: (PCI ID: 10de:26b5) installed in this system has\n"
    "               NVRM: fallen off the bus and is not responding to commands."
)
CHANGED = "NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"


@pytest.mark.parametrize(
    ("line", "code", "pci", "pid"),
    [
        ("NVRM: Xid (PCI:0000:01:00): 79, pid=1122, GPU has fallen off the bus.", 79, (0, 1, 0), 1122),
        ("NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.", 79, (0, 1, 0), None),
        ("NVRM: Xid (PCI:0000:3f:00): 46", 46, (0, 0x3F, 0), None),
        ("NVRM: Xid (PCI:0000:66:00): 32, pid=2280636, name=train.3, Channel ID 0000000d", 32, (0, 0x66, 0), 2280636),
        ("NVRM: Xid (PCI:0000:b5:00): 13, pid='<unknown>', name=<unknown>, Graphics Exception", 13, (0, 0xB5, 0), None),
        ("NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 09 (0x02)", 149, (0x18, 1, 0), None),
        ("NVRM: Xid (PCI:0000:b3:00.0): 79, pid=12345, GPU has fallen off", 79, (0, 0xB3, 0), 12345),
        ("NVRM: Xid (0000:03:00): 14, Channel 00000001", 14, (0, 3, 0), None),
        ("[ 966.5] NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=77, Contained", 94, (0, 1, 0), 77),
        (CHANGED, 154, (0, 1, 0), None),
        (FALLEN, 79, (0, 1, 0), None),
        (OLDER_FALLEN, 79, (0, 0xB3, 0), None),
    ],
)
def test_kernel_lines_of_all_drivers_are_understood(line, code, pci, pid):
    xid = parse_kernel_line(AT, line)
    assert (xid.code, xid.pci, xid.pid, xid.source, xid.at) == (code, pci, pid, KERNEL, AT)
    assert xid.implied == (line in (FALLEN, OLDER_FALLEN))
    assert "\n" not in xid.text


@pytest.mark.parametrize(
    "line",
    [
        "", "NVRM: loading NVIDIA UNIX Open Kernel Module", "NVRM: Xid : 32, pid=2280636", "usb 1-1: new device",
        "NVRM: Xid (PCI:0000:66:00): abc, pid=2280636", "NVRM: GPU at PCI:0000:66:00: GPU-12345678-1234",
    ],
)  # fmt: skip
def test_other_kernel_lines_are_none(line):
    assert parse_kernel_line(AT, line) is None


def test_the_drivers_and_the_kernels_way_to_write_an_address_are_the_same():
    assert pci_of("00000000:3B:00.0") == pci_of("0000:3b:00") == (0, 0x3B, 0)
    assert pci_of("nonsense") is None


def test_every_meaning_is_one_short_line():
    assert MEANINGS[79] == meaning(79) == "the GPU has fallen off the bus"
    assert meaning(999) == "not in the catalogue"
    assert all(0 < len(words) <= 90 and words == words.strip(". ") for words in MEANINGS.values())


class Desk:
    """An XidDesk before GPU 3 at 0000:01:00, and what it told."""

    def __init__(self, *, kernel_speaks: bool = True) -> None:
        self.told: list[Event] = []
        self.desk = XidDesk(self.told.append, {(0, 1, 0): 3}.get, lambda: kernel_speaks)

    def nvml(self, now_s: float, code: int = 79) -> None:
        self.desk.take(Xid(AT, code, NVML, gpu=3), now_s)
        self.desk.flush(now_s)

    def kernel(self, now_s: float, line: str = "NVRM: Xid (PCI:0000:01:00): 79, pid=7, off") -> None:
        self.desk.take(parse_kernel_line(AT, line), now_s)
        self.desk.flush(now_s)

    @property
    def sources(self) -> list[object]:
        return [event.evidence["source"] for event in self.told]


def test_a_kernel_line_is_told_at_once_with_the_gpu_at_its_address():
    desk = Desk()
    desk.kernel(0.0)
    (event,) = desk.told
    assert (event.kind, event.gpu, event.subject, event.at) == (EventKind.XID, 3, "gpu 3", AT)
    assert event.message == "gpu 3: XID 79, the GPU has fallen off the bus (pid 7)"
    assert event.evidence == {
        "xid": 79, "pid": 7, "source": KERNEL, "text": "NVRM: Xid (PCI:0000:01:00): 79, pid=7, off",
    }  # fmt: skip
    assert desk.desk.last == {3: 79}


@pytest.mark.parametrize("kernel_first", [True, False])
def test_the_same_error_from_both_sources_is_one_event_with_what_the_kernel_knows(kernel_first):
    desk = Desk()
    for source in (desk.kernel, desk.nvml) if kernel_first else (desk.nvml, desk.kernel):
        source(0.0)
    desk.desk.flush(5.0)
    (event,) = desk.told
    assert event.evidence["pid"] == 7
    assert event.evidence["source"] == (KERNEL if kernel_first else "nvml, kernel log")


def test_what_the_kernel_does_not_tell_is_told_by_nvml_alone_after_a_moment():
    desk = Desk()
    desk.nvml(0.0)
    desk.desk.flush(0.5)
    assert desk.told == []
    desk.desk.flush(1.0)
    desk.desk.flush(2.0)
    assert desk.sources == [NVML]
    desk.kernel(3.0)  # late, but the same
    assert len(desk.told) == 1


def test_without_a_kernel_log_nvml_is_not_kept_waiting():
    desk = Desk(kernel_speaks=False)
    desk.nvml(0.0)
    assert desk.sources == [NVML]


def test_ten_errors_of_each_source_are_ten():
    desk = Desk()
    for turn in range(10):
        desk.kernel(turn / 10)
    for turn in range(10):
        desk.nvml(1.0 + turn / 10)
    desk.desk.flush(5.0)
    assert len(desk.told) == 10


def test_other_codes_other_gpus_and_later_errors_are_others():
    desk = Desk()
    desk.kernel(0.0)
    desk.nvml(0.0, code=31)
    desk.desk.flush(2.0)
    desk.kernel(3.0, "NVRM: Xid (PCI:0000:02:00): 79, x")
    desk.nvml(20.0)
    desk.desk.flush(22.0)
    assert [(event.subject, event.evidence["xid"]) for event in desk.told] == [
        ("gpu 3", 79), ("gpu 3", 31), ("pci 0000:02:00", 79), ("gpu 3", 79),
    ]  # fmt: skip


def test_falling_off_the_bus_is_told_once_however_many_lines_say_so():
    desk = Desk()
    desk.kernel(0.0, FALLEN)
    desk.kernel(0.1, FALLEN)
    assert len(desk.told) == 1
    desk.kernel(20.0)
    desk.kernel(20.1, FALLEN)
    assert len(desk.told) == 2


def test_a_storm_takes_no_room_without_bound():
    desk = Desk()
    for _ in range(1000):
        desk.kernel(0.0)
    assert len(desk.told) == 1000
    assert len(desk.desk._arrivals) <= 256


def test_recovery_actions_are_told_when_they_change_whoever_tells_first():
    told: list[Event] = []
    actions = RecoveryActions(told.append)
    actions.sampled(AT, 1, 0)
    actions.changed(AT, 1, 1, NVML)
    actions.sampled(AT, 1, 0)  # still the value from before
    actions.sampled(AT, 1, 1)
    actions.changed(AT, 1, 1, KERNEL)
    actions.sampled(AT, 1, 0)
    actions.changed(AT, 1, 9, KERNEL)
    assert [event.message for event in told] == [
        "gpu 1: the driver asks for a reset of the GPU",
        "gpu 1: the driver asks for nothing any more",
        "gpu 1: the driver asks for action 9",
    ]
    assert told[0].evidence == {"action": 1, "before": 0, "source": "nvml"}


@pytest.mark.parametrize(("line", "action"), [(CHANGED, 1), (CHANGED.replace("0x1", "0x2"), 2), (FALLEN, None)])
def test_the_kernel_line_of_a_changed_action_is_read(line, action):
    assert action_in(line) == action
