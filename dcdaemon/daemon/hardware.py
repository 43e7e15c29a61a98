"""What reads the hardware that the configuration names: the GPU source, and the collectors of everything else."""

from pathlib import Path

from dcdaemon.config.model import Config
from dcdaemon.control.desk import Desk
from dcdaemon.core.collector import CollectorReport
from dcdaemon.core.event import Tell
from dcdaemon.core.ports import Clock, GpuSource
from dcdaemon.core.roles import Role
from dcdaemon.daemon.loads import JobLoads
from dcdaemon.engines.local import LocalEngine
from dcdaemon.telemetry.collecting import Collector
from dcdaemon.telemetry.host import LinuxHost
from dcdaemon.telemetry.no_gpus import NoGpus


def make_gpu_source(config: Config, simulated: int, desk: Desk, engine: LocalEngine) -> GpuSource:
    """Return simulated GPUs where someone asked for them, else the driver's."""
    if simulated:
        from dcdaemon.fakes.gpus import SimulatedGpus  # noqa: PLC0415

        return SimulatedGpus(simulated, JobLoads(desk.book, engine), desk.clock, config.gpus.poll_interval_s)
    if Role.COMPUTE not in config.node.roles:
        return NoGpus()
    from dcdaemon.telemetry.gpu_source import NvmlSource  # noqa: PLC0415
    from dcdaemon.telemetry.kernel_log import COMMAND  # noqa: PLC0415

    def report(news: CollectorReport) -> None:
        desk.board.collectors[news.name] = news

    return NvmlSource(
        config.gpus.poll_interval_s, config.gpus.driver_deadline_s, tell=desk.board.events.tell, journal=COMMAND,
        report=report,
    )  # fmt: skip


def make_host(config: Config, tell: Tell, clock: Clock) -> LinuxHost:
    """Return the collectors of the node's own hardware, those of its roles that are there or configured."""
    extra: dict[str, Collector] = {}
    switches = make_switches(config, tell)
    if switches is not None:
        extra["snmp"] = switches
    object_store = make_object_store(config, tell)
    if object_store is not None:
        extra["object_store"] = object_store
    return LinuxHost(tell=tell, roles=config.node.roles, extra=extra, clock=clock)


def make_switches(config: Config, tell: Tell) -> Collector | None:
    """Return the collector of switches, None where no device is configured."""
    if not config.snmp.devices:
        return None
    from dcdaemon.telemetry.snmp import Switches  # noqa: PLC0415
    from dcdaemon.telemetry.snmp_access import Access, Device  # noqa: PLC0415
    from dcdaemon.telemetry.snmp_keys import User  # noqa: PLC0415

    community = config.snmp.community_file
    users = {
        name: User(
            user.user or name, user.authentication, user.privacy,
            Path(user.authentication_file), Path(user.privacy_file),
        )
        for name, user in config.snmp_users.items()
    }  # fmt: skip
    devices = [Device(*device) for device in config.snmp.devices]
    return Switches(devices, Access(Path(community) if community else None, users), config.snmp.interval_s, tell)


def make_object_store(config: Config, tell: Tell) -> Collector | None:
    """Return the probe of the object store, None where none is configured."""
    store = config.object_store
    if not store.endpoint:
        return None
    from dcdaemon.telemetry.object_store import ObjectStoreProbe  # noqa: PLC0415
    from dcdaemon.telemetry.s3 import Bucket  # noqa: PLC0415

    bucket = Bucket(store.endpoint, store.bucket, store.region, store.access_key, Path(store.secret_file))
    return ObjectStoreProbe(bucket, tell, every_s=store.interval_s, most_pages=store.list_pages)
