"""Every setting: its section, key, kind, default and meaning; the tree that the daemon is given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dcdaemon.config.lists import DEVICE_NODES, WATTS_OF_GPUS
from dcdaemon.config.setting import Setting, settings_of
from dcdaemon.config.setting import declared as _key
from dcdaemon.config.sharing import Account, FairShare, Queue, Quotas
from dcdaemon.config.snmp import Snmp, SnmpUser
from dcdaemon.config.values import (
    ADDRESS,
    BYTES,
    CLOCK_TIME,
    COUNT,
    DATABASE,
    DURATION,
    ENDPOINT,
    INTERVAL,
    MORE_THAN_0,
    NAMES,
    NUMBER,
    PATH,
    RATIO,
    SECRET_FILE,
    SWITCH,
    TEXT,
    choice,
    maybe,
    optional,
    some_of,
)
from dcdaemon.core.access import Visibility
from dcdaemon.core.roles import USUAL_ROLES, Role


@dataclass(frozen=True, slots=True)
class Node:
    """The machine."""

    name: str = _key("", TEXT, "The node's name in every record; empty: the host name.")
    roles: tuple[str, ...] = _key(
        list(USUAL_ROLES),
        some_of(*Role),
        "What the node is for; it decides which collectors run (docs/configuration.md).",
    )


@dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon itself and its doors."""

    state_dir: str = _key(
        "", PATH, "Where it keeps its state; empty: /var/lib/dcdaemon for root, else ~/.local/state/dcdaemon."
    )
    socket: str = _key(
        "",
        PATH,
        "Its socket; empty: /run/dcdaemon/dcd.sock for root, else in $XDG_RUNTIME_DIR or state_dir.",
    )
    tcp: str = _key("", ADDRESS, 'Also answer on TCP, to callers with a token, like "127.0.0.1:7717"; empty: no.')
    tls: str = _key(
        "required", choice("required", "off"), "Whether a tcp address that others reach must have TLS; off is not safe."
    )
    tls_certificate: str = _key("", PATH, "Certificate with its chain (PEM) for tcp; empty: no TLS.")
    tls_key: str = _key("", PATH, "Its private key (PEM), readable by the daemon's user alone.")
    log_level: str = _key("info", choice("info", "debug", "warning", "error"), "How much it logs.")
    log_format: str = _key("text", choice("text", "json"), "Lines for people, or JSON for machines.")
    operators: tuple[str, ...] = _key([], NAMES, "Users who may act on other users' jobs and on GPUs; root always may.")


@dataclass(frozen=True, slots=True)
class Access:
    """What users who are no operators see of each other."""

    visibility: str = _key(
        Visibility.MASKED.value,
        choice(*(word.value for word in Visibility)),
        "Of others' jobs: masked shows who holds which GPU, all also what runs there, own nothing (docs/security.md).",
    )


@dataclass(frozen=True, slots=True)
class Storage:
    """The database and how long it remembers."""

    url: str = _key("", DATABASE, "The database; empty: SQLite in state_dir.")
    raw_retention_s: float = _key("48h", INTERVAL, "How long every sample is kept.", "raw_retention")
    minute_retention_s: float = _key("30d", INTERVAL, "How long minute averages are kept.", "minute_retention")
    hour_retention_s: float = _key("730d", INTERVAL, "How long hour averages are kept.", "hour_retention")
    backup_dir: str = _key("", PATH, "Where a copy of the database is written each day; empty: nowhere.")
    backup_at: str = _key("03:30", CLOCK_TIME, "When that copy is written, in the node's own time.")
    backup_keep: int = _key(7, COUNT, "How many of these copies are kept; 0: all.")
    backup_key_file: str = _key(
        "", PATH, "The age key, or its public half, that these copies are encrypted with; empty: they are not."
    )


@dataclass(frozen=True, slots=True)
class Gpus:
    """How GPUs are watched."""

    poll_interval_s: float = _key("1s", INTERVAL, "Time between two samples of a GPU.", "poll_interval")
    driver_deadline_s: float = _key(
        "5s",
        INTERVAL,
        "How long a call to the driver may take before its process is replaced.",
        "driver_deadline",
    )
    foreign_ok: tuple[str, ...] = _key([], NAMES, "Programs that may use a GPU without a job.")
    power_limit_w: tuple[tuple[int | None, float], ...] = _key(
        "",
        WATTS_OF_GPUS,
        'Power limits that dcdaemon-power.service sets, in watts: 400 for all, or by GPU, like ["0=400", "1-3=350"].',
    )


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Which job starts when."""

    order: str = _key(
        "shortest",
        choice("shortest", "fifo", "fair-share", "deadline"),
        "Who goes first among jobs of one priority, where their queue does not say.",
    )
    patience: float = _key(
        0.9,
        MORE_THAN_0,
        "With shortest and deadline: a job goes first once it has waited so many times FIFO's longest wait.",
    )
    backfill: bool = _key(True, SWITCH, "Let a job pass the head of the queue where it cannot delay it.")  # noqa: FBT003
    default_limit_s: float | None = _key(
        "", optional(INTERVAL), "Time limit of a job that names none; empty: no limit.", "default_limit"
    )
    share_holdoff_s: float = _key(
        "60s",
        DURATION,
        "How long the newest job on a shared GPU has to run before another one joins: it may still be loading.",
        "share_holdoff",
    )


@dataclass(frozen=True, slots=True)
class Jobs:
    """What jobs get."""

    grace_s: float = _key("30s", DURATION, "Time between asking a job to end and killing it.", "grace")
    log_limit_bytes: int | None = _key(
        "1G",
        optional(BYTES),
        "How much of a job's output is kept on disk, head and tail; the middle is left out beyond. 0: all of it.",
        "log_limit",
    )
    per_user: int = _key(10000, COUNT, "How many unfinished jobs one user may have; operators are not counted.")
    no_cpu_per_user: int | None = _key(
        100,
        maybe(COUNT),
        "How many jobs of one user that ask for no CPU and no GPU run at once; empty: no such limit.",
    )
    isolation: str = _key(
        "auto",
        choice("auto", "unit", "shim"),
        "How jobs are fenced: a systemd unit each, or the shim alone; auto: a unit where that is possible.",
    )
    devices: tuple[str, ...] = _key(
        [], DEVICE_NODES, "More device nodes that jobs in units may open, like /dev/dri/renderD128."
    )
    cpus: int | None = _key(0, optional(COUNT), "CPUs that jobs may ask for together; 0: all of the node.")
    memory_bytes: int | None = _key(
        0,
        optional(BYTES),
        'Memory that jobs may ask for together, like "480G"; 0: all of the node.',
        "memory",
    )


@dataclass(frozen=True, slots=True)
class Energy:
    """What a kilowatt-hour costs here."""

    price_per_kwh: float | None = _key(
        0.0, optional(NUMBER), "Price of a kilowatt-hour; 0: not known, no cost is shown."
    )
    currency: str = _key("EUR", TEXT, "Its currency.")
    carbon_g_per_kwh: float | None = _key(
        0.0, optional(NUMBER), "Grams of CO2-equivalent of a kilowatt-hour; 0: not known, none is shown."
    )


@dataclass(frozen=True, slots=True)
class Anomalies:
    """From where on something is odd."""

    idle_after_s: float = _key("10m", INTERVAL, "How long a held GPU must be unused to be called idle.", "idle_after")
    idle_below_ratio: float = _key(0.05, RATIO, "Utilisation below which a GPU is unused.", "idle_below")
    filesystem_full_ratio: float = _key(0.92, RATIO, "Share in use from which a filesystem is full.", "filesystem_full")
    stale_after_s: float = _key("30s", INTERVAL, "How old a GPU's newest sample may be.", "stale_after")
    hung_after_s: float | None = _key(
        "30m",
        optional(INTERVAL),
        "How long a job with a launcher may be silent, and a rank of it idle, until that is told; empty: never.",
        "hung_after",
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    """What Prometheus can scrape, on a listener of its own."""

    listen: str = _key(
        "", ADDRESS, 'Answer scrapes there, to anybody and without a token, like "127.0.0.1:9477"; empty: no.'
    )
    dcgm: bool = _key(False, SWITCH, "Also the names of dcgm-exporter, at /metrics/dcgm.")  # noqa: FBT003
    node: bool = _key(False, SWITCH, "Also the names of node_exporter, at /metrics/node.")  # noqa: FBT003


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """An S3-compatible object store, probed for latency, errors and used capacity."""

    endpoint: str = _key("", ENDPOINT, 'Where it is, like "https://s3.example.org"; empty: none is probed.')
    bucket: str = _key("", TEXT, "The bucket that is listed.")
    region: str = _key("us-east-1", TEXT, "Its region; many stores take any.")
    access_key: str = _key("", TEXT, "Name of the access key; it needs the right to list the bucket and no other.")
    secret_file: str = _key(
        "", SECRET_FILE, "File that holds the secret of that key, readable by the daemon's user alone."
    )
    interval_s: float = _key("60s", INTERVAL, "Time between two probes.", "interval")
    list_pages: int = _key(
        1000, COUNT, "Pages of 1,000 objects to list each hour for the used capacity, which is unknown beyond; 0: none."
    )


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set; what is empty by default is filled in when it is loaded."""

    node: Node = field(default_factory=Node)
    daemon: Daemon = field(default_factory=Daemon)
    access: Access = field(default_factory=Access)
    storage: Storage = field(default_factory=Storage)
    gpus: Gpus = field(default_factory=Gpus)
    scheduler: Scheduler = field(default_factory=Scheduler)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    quotas: Quotas = field(default_factory=Quotas)
    fair_share: FairShare = field(default_factory=FairShare)
    jobs: Jobs = field(default_factory=Jobs)
    energy: Energy = field(default_factory=Energy)
    anomalies: Anomalies = field(default_factory=Anomalies)
    metrics: Metrics = field(default_factory=Metrics)
    snmp: Snmp = field(default_factory=Snmp)
    snmp_users: Mapping[str, SnmpUser] = field(default_factory=dict)
    object_store: ObjectStore = field(default_factory=ObjectStore)


#: The class of each section, in the order in which they are printed.
SECTIONS: dict[str, type] = {
    "node": Node,
    "daemon": Daemon,
    "access": Access,
    "storage": Storage,
    "gpus": Gpus,
    "scheduler": Scheduler,
    "quotas": Quotas,
    "fair_share": FairShare,
    "jobs": Jobs,
    "energy": Energy,
    "anomalies": Anomalies,
    "metrics": Metrics,
    "snmp": Snmp,
    "object_store": ObjectStore,
}


#: Sections of which there can be several, each with a name of its own: [queues.short], [accounts.vision].
FAMILIES: dict[str, type] = {"queues": Queue, "accounts": Account, "snmp_users": SnmpUser}


def _settings() -> Iterator[Setting]:
    for section, cls in SECTIONS.items():
        yield from settings_of(section, cls)


#: Every setting by its name, in the order in which they are printed; those of families are in `families`.
SETTINGS: dict[str, Setting] = {setting.name: setting for setting in _settings()}
