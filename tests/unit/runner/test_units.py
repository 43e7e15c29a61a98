"""What systemd is asked for, word by word."""

import re
import sys
from pathlib import Path

import pytest

from dcdaemon.runner.devices import job_devices, uvm_missing
from dcdaemon.runner.isolation import Isolation
from dcdaemon.runner.records import LaunchSpec
from dcdaemon.runner.units import SHIM, device_fence, properties, run_command, unit_path

SYSTEM = Isolation("unit", "system")
USER = Isolation("unit", "user", "/user.slice/user-7.slice/user@7.service")
DIRECTORY = Path("/var/lib/dcdaemon/jobs/42/3")
FOR_ALL = ("char-pts", "/dev/fuse", "/dev/net/tun")
CUDA = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")


def spec(**fields) -> LaunchSpec:
    plain = {"job_id": 42, "attempt": 3, "argv": ("train",), "cwd": "/", "env": {"KEY": "hush"}, "uid": 7, "gid": 7}
    return LaunchSpec(**{**plain, **fields})


def test_the_whole_command_for_a_job_on_one_gpu():
    wish = spec(mem_bytes=64 * 1024**3, cpus=8, limit_s=3600.0, gpu_minors=(3,))
    assert run_command(wish, DIRECTORY, 2, SYSTEM, job_devices((3,), root=Path("/nowhere"))) == [
        "systemd-run", "--system", "--quiet", "--no-ask-password", "--collect", "--service-type=exec",
        "--unit=dcd-job-42.service", "--slice=dcdaemon-jobs.slice",
        "--property=Description=dcdaemon job 42, attempt 3, launch 2",
        "--property=KillMode=mixed", "--property=TimeoutStopSec=40", "--property=RuntimeMaxSec=3690",
        "--property=OOMPolicy=continue", "--property=OOMScoreAdjust=-900",
        "--property=MemoryMax=68719476736", "--property=MemorySwapMax=0", "--property=CPUWeight=80",
        "--property=TasksMax=infinity", "--property=LimitMEMLOCK=infinity", "--property=LimitNOFILE=1048576",
        "--property=CPUAccounting=yes", "--property=MemoryAccounting=yes", "--property=IOAccounting=yes",
        "--property=TasksAccounting=yes", "--property=DevicePolicy=closed",
        "--property=DeviceAllow=char-pts rw", "--property=DeviceAllow=/dev/fuse rw",
        "--property=DeviceAllow=/dev/net/tun rw", "--property=DeviceAllow=/dev/nvidiactl rw",
        "--property=DeviceAllow=/dev/nvidia-uvm rw", "--property=DeviceAllow=/dev/nvidia-uvm-tools rw",
        "--property=DeviceAllow=/dev/nvidia3 rw", "--",
        sys.executable, "-I", "-S", "-B", "-X", "utf8", str(SHIM), "/var/lib/dcdaemon/jobs/42/3", "2",
    ]  # fmt: skip


def test_the_command_of_a_job_says_nothing_that_is_the_users():
    command = run_command(spec(argv=("train", "--key=hush"), log_path="/home/hush"), DIRECTORY, 1, SYSTEM, ())
    assert not [word for word in command if "hush" in word]
    assert not [word for word in command if word.startswith(("--setenv", "-E", "--uid"))]


def test_a_users_manager_is_not_asked_for_a_fence_it_cannot_make():
    command = run_command(spec(), DIRECTORY, 1, USER, FOR_ALL)
    assert command[1] == "--user"
    assert not [word for word in command if "Device" in word]


def test_systemd_finds_no_variable_in_a_path():
    command = run_command(spec(), Path("/srv/a${HOME}$b/42/3"), 1, SYSTEM, ())
    assert command[-2] == "/srv/a$${HOME}$$b/42/3"


def test_what_was_not_asked_for_is_not_limited():
    lines = properties(spec(), 1)
    assert not [line for line in lines if line.startswith(("Memory", "RuntimeMax")) and line != "MemoryAccounting=yes"]


@pytest.mark.parametrize(
    ("limit_s", "grace_s", "backstop", "stop"),
    [
        (30 * 86400.0, 30.0, "2592090", "40"),
        (14 * 86400.0, 86400.0, "1296060", "86410"),
        (0.5, 0.25, "61", "11"),
        (1e8 + 0.5, 1e-9, "100000061", "11"),
    ],
)
def test_times_are_whole_seconds_rounded_up_however_long(limit_s, grace_s, backstop, stop):
    lines = properties(spec(limit_s=limit_s, grace_s=grace_s), 1)
    assert f"RuntimeMaxSec={backstop}" in lines
    assert f"TimeoutStopSec={stop}" in lines


def test_no_number_has_an_exponent_or_a_fraction():
    lines = properties(spec(limit_s=3e8, grace_s=86400.0, mem_bytes=10**15, cpus=10**6), 1)
    values = [line.split("=")[1] for line in lines if not line.startswith("Description")]
    assert [value for value in values if value[-1].isdigit() and not re.fullmatch(r"-?[0-9]+", value)] == []


@pytest.mark.parametrize(("cpus", "weight"), [(0, 10), (1, 10), (10, 100), (999, 9990), (5000, 10_000)])
def test_cpus_weigh_in_proportion_within_what_the_kernel_takes(cpus, weight):
    assert f"CPUWeight={weight}" in properties(spec(cpus=cpus), 1)


def test_the_control_group_is_where_slices_and_manager_put_it():
    assert unit_path(SYSTEM, 42) == "/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.service"
    assert unit_path(USER, 42) == f"{USER.cgroup}/dcdaemon.slice/dcdaemon-jobs.slice/dcd-job-42.service"


@pytest.fixture
def fabric(tmp_path: Path) -> Path:
    """A node with InfiniBand, NVLink to other nodes, and MIG on the GPU of minor number 5."""
    devices = ("infiniband/uverbs0", "infiniband/uverbs1", "infiniband/umad0", "infiniband/rdma_cm",
               "nvidia-caps-imex-channels/channel0", "sda", "nvidia1", "nvidia5")  # fmt: skip
    for name in devices:
        place = tmp_path / "dev" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    for where, number in (("gi1", 12), ("gi1/ci0", 13), ("gi2", 21)):
        access = tmp_path / "proc/driver/nvidia/capabilities/gpu5/mig" / where / "access"
        access.parent.mkdir(parents=True, exist_ok=True)
        access.write_text(f"DeviceFileMinor: {number}\nDeviceFileMode: 292\nDeviceFileModify: 1\n")
    return tmp_path


def test_a_job_without_a_gpu_gets_no_hardware(fabric):
    assert job_devices((), root=fabric) == FOR_ALL
    assert device_fence(("/dev/fuse",)) == ["DevicePolicy=closed", "DeviceAllow=/dev/fuse rw"]


def test_one_gpu_is_opened_by_its_minor_number_without_a_fabric(fabric):
    assert job_devices((1,), root=fabric) == (*FOR_ALL, *CUDA, "/dev/nvidia1")


def test_several_gpus_also_get_what_their_ranks_talk_through_but_not_its_management(fabric):
    talk = (
        "/dev/infiniband/uverbs0", "/dev/infiniband/uverbs1", "/dev/infiniband/rdma_cm",
        "/dev/nvidia-caps-imex-channels/channel0",
    )  # fmt: skip
    assert job_devices((7, 2), root=fabric) == (*FOR_ALL, *CUDA, "/dev/nvidia7", "/dev/nvidia2", *talk)


def test_a_gpu_that_is_cut_by_mig_comes_with_the_capabilities_of_its_instances(fabric):
    caps = tuple(f"/dev/nvidia-caps/nvidia-cap{number}" for number in (12, 13, 21))
    assert job_devices((5,), root=fabric) == (*FOR_ALL, *CUDA, "/dev/nvidia5", *caps)


def test_a_job_on_an_instance_has_the_capabilities_of_that_instance_alone(fabric):
    assert job_devices((5,), instance="1/0", root=fabric) == (
        *FOR_ALL, *CUDA, "/dev/nvidia5", "/dev/nvidia-caps/nvidia-cap12", "/dev/nvidia-caps/nvidia-cap13",
    )  # fmt: skip
    assert job_devices((5,), instance="9/0", root=fabric) == (*FOR_ALL, *CUDA, "/dev/nvidia5")


def test_a_capability_that_is_no_number_is_left_out(fabric):
    access = fabric / "proc/driver/nvidia/capabilities/gpu5/mig/gi2/access"
    access.write_text("DeviceFileMinor: x\n")
    assert "/dev/nvidia-caps/nvidia-cap21" not in job_devices((5,), root=fabric)
    access.unlink()
    access.symlink_to("/nowhere")
    assert "/dev/nvidia-caps/nvidia-cap21" not in job_devices((5,), root=fabric)


def test_where_the_driver_hides_a_minor_number_the_job_gets_all_gpus_rather_than_none(fabric):
    assert job_devices((1, None), more=("/dev/x",))[3:8] == ("/dev/x", *CUDA, "char-nvidia*")


def test_cudas_memory_device_is_missed_only_where_there_is_a_driver(tmp_path):
    (tmp_path / "dev").mkdir()
    assert not uvm_missing(tmp_path)
    (tmp_path / "dev/nvidiactl").touch()
    assert uvm_missing(tmp_path)
    (tmp_path / "dev/nvidia-uvm").touch()
    assert not uvm_missing(tmp_path)
