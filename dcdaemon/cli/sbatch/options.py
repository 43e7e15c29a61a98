"""Every option of sbatch, in three classes: understood, ignored because it is harmless, refused because it is not."""

from enum import Enum
from typing import NamedTuple


class Takes(Enum):
    """Whether an option has a value: never, always, or only behind `=`."""

    NOTHING = "nothing"
    VALUE = "value"
    MAYBE = "maybe"


class Option(NamedTuple):
    """What becomes of one option: `ignored` says why it does no harm, `refused` what to do instead."""

    takes: Takes = Takes.VALUE
    ignored: str = ""
    refused: str = ""


_NOTHING, _VALUE, _MAYBE = Takes.NOTHING, Takes.VALUE, Takes.MAYBE

_UNDERSTOOD = (
    "account", "array", "begin", "chdir", "cpus-per-gpu", "cpus-per-task", "deadline", "dependency", "error", "exclude",
    "export", "gpus", "gpus-per-node", "gpus-per-task", "gres", "input", "job-name", "mem", "mem-per-cpu",
    "mem-per-gpu", "mincpus", "nodelist", "nodes", "ntasks", "ntasks-per-gpu", "ntasks-per-node", "open-mode", "output",
    "partition", "signal", "time",
)  # fmt: skip

_PLACING = "where on the node its processes run is left to the system"
_ONE_NODE = "there is one node"
_SAYS_LITTLE = "it changes what is printed, not the job"
_MAIL = "no mail is sent; see dcd wait and dcd events"

_IGNORED: dict[str, tuple[Takes, str]] = {
    "acctg-freq": (_VALUE, "how often is measured is set for the daemon"),
    "batch": (_VALUE, _ONE_NODE),
    "clusters": (_VALUE, "there is one daemon to submit to"),
    "comment": (_VALUE, "comments are not kept"),
    "contiguous": (_NOTHING, _ONE_NODE),
    "cpu-freq": (_VALUE, "clocks are not changed for a job"),
    "delay-boot": (_VALUE, _ONE_NODE),
    "distribution": (_VALUE, _PLACING),
    "exclusive": (_MAYBE, "its GPUs are its own anyway, but other jobs may run beside it"),
    "extra": (_VALUE, "comments are not kept"),
    "get-user-env": (_MAYBE, "the environment of the submit is kept"),
    "gpu-bind": (_VALUE, _PLACING),
    "gpu-freq": (_VALUE, "clocks are not changed for a job"),
    "gres-flags": (_VALUE, _PLACING),
    "hint": (_VALUE, _PLACING),
    "ignore-pbs": (_NOTHING, "#PBS lines are never read"),
    "kill-on-invalid-dep": (_VALUE, "a job whose dependency failed waits, and dcd why says so"),
    "mail-type": (_VALUE, _MAIL),
    "mail-user": (_VALUE, _MAIL),
    "mcs-label": (_VALUE, "there are no such labels"),
    "mem-bind": (_VALUE, _PLACING),
    "network": (_VALUE, _ONE_NODE),
    "no-kill": (_MAYBE, _ONE_NODE),
    "ntasks-per-core": (_VALUE, _PLACING),
    "ntasks-per-socket": (_VALUE, _PLACING),
    "overcommit": (_NOTHING, "each task gets its CPUs"),
    "oversubscribe": (_NOTHING, "GPUs are not shared; see --gpu-mem"),
    "parsable": (_NOTHING, _SAYS_LITTLE),
    "power": (_VALUE, "power is not managed for a job"),
    "prefer": (_VALUE, "it was a preference only"),
    "priority": (_VALUE, "Slurm's priorities are on another scale; see -p"),
    "profile": (_VALUE, "every job is measured; see dcd show"),
    "propagate": (_MAYBE, "limits are those of the daemon"),
    "qos": (_VALUE, "there are no such classes; queues and accounts have limits"),
    "quiet": (_NOTHING, _SAYS_LITTLE),
    "resv-ports": (_MAYBE, "ports are not handed out"),
    "segment": (_VALUE, _ONE_NODE),
    "spread-job": (_NOTHING, _ONE_NODE),
    "stepmgr": (_NOTHING, "there are no job steps"),
    "switches": (_VALUE, _ONE_NODE),
    "threads-per-core": (_VALUE, _PLACING),
    "time-min": (_VALUE, "the job keeps its whole time limit"),
    "tres-bind": (_VALUE, _PLACING),
    "use-min-nodes": (_NOTHING, _ONE_NODE),
    "verbose": (_NOTHING, _SAYS_LITTLE),
    "wait": (_NOTHING, "submitting does not wait; see dcd wait"),
    "wait-all-nodes": (_VALUE, _ONE_NODE),
    "wckey": (_VALUE, "comments are not kept"),
}

_NO_LAYOUT = "leave it out: the job gets CPUs, not chosen sockets or cores"
_NO_CONTAINER = "start the container inside the script"
_ANOTHER_USER = "submit as that user"
_ANY_GPUS = "write --gpus or --gpus-per-task"
_DRY_RUN = "leave it out and use dcd submit --dry-run"

_REFUSED: dict[str, tuple[Takes, str]] = {
    "bb": (_VALUE, "leave it out: there are no burst buffers"),
    "bbf": (_VALUE, "leave it out: there are no burst buffers"),
    "cluster-constraint": (_VALUE, "leave it out if this node will do"),
    "constraint": (_VALUE, "leave it out if this node will do; GPUs of a kind are asked for as --gpus=h100:2"),
    "container": (_VALUE, _NO_CONTAINER),
    "container-id": (_VALUE, _NO_CONTAINER),
    "core-spec": (_VALUE, _NO_LAYOUT),
    "cores-per-socket": (_VALUE, _NO_LAYOUT),
    "export-file": (_VALUE, "set the variables in the script"),
    "extra-node-info": (_VALUE, _NO_LAYOUT),
    "gid": (_VALUE, _ANOTHER_USER),
    "gpus-per-socket": (_VALUE, _ANY_GPUS),
    "help": (_NOTHING, "leave it out; see dcd submit -h"),
    "licenses": (_VALUE, "leave it out if no licence has to be counted"),
    "nodefile": (_VALUE, "leave it out if this node will do"),
    "reboot": (_NOTHING, "leave it out: nodes are not rebooted for a job"),
    "reservation": (_VALUE, "leave it out: booked GPUs go to those they are booked for, see dcd bookings; or --begin"),
    "sockets-per-node": (_VALUE, _NO_LAYOUT),
    "test-only": (_NOTHING, _DRY_RUN),
    "thread-spec": (_VALUE, _NO_LAYOUT),
    "tmp": (_VALUE, "leave it out: disk space is not handed out"),
    "tres-per-task": (_VALUE, _ANY_GPUS),
    "uid": (_VALUE, _ANOTHER_USER),
    "usage": (_NOTHING, "leave it out; see dcd submit -h"),
    "version": (_NOTHING, "leave it out; see dcd version"),
    "wrap": (_VALUE, "write the command into the script, or: dcd submit -- sh -c COMMAND"),
}

#: Options that plugins for containers (pyxis, shifter) add to sbatch.
_OF_PLUGINS = ("container-image", "container-mounts", "container-name", "container-workdir", "image")

#: Long name -> what becomes of it.
OPTIONS: dict[str, Option] = {
    **dict.fromkeys(_UNDERSTOOD, Option()),
    **dict.fromkeys(_OF_PLUGINS, Option(refused=_NO_CONTAINER)),
    **dict.fromkeys(("hold", "requeue", "no-requeue"), Option(_NOTHING)),
    "nice": Option(_MAYBE),
    **{name: Option(takes, ignored=why) for name, (takes, why) in _IGNORED.items()},
    **{name: Option(takes, refused=hint) for name, (takes, hint) in _REFUSED.items()},
}

#: Names of before, and others for the same.
ALIASES = {"workdir": "chdir", "tasks-per-node": "ntasks-per-node", "share": "oversubscribe", "tasks": "ntasks"}

SHORT = {
    "A": "account", "a": "array", "B": "extra-node-info", "b": "begin", "C": "constraint", "c": "cpus-per-task",
    "D": "chdir", "d": "dependency", "e": "error", "F": "nodefile", "G": "gpus", "H": "hold", "h": "help",
    "i": "input", "J": "job-name", "k": "no-kill", "L": "licenses", "M": "clusters", "m": "distribution",
    "N": "nodes", "n": "ntasks", "O": "overcommit", "o": "output", "P": "dependency", "p": "partition",
    "Q": "quiet", "q": "qos", "S": "core-spec", "s": "oversubscribe", "t": "time", "V": "version", "v": "verbose",
    "W": "wait", "w": "nodelist", "x": "exclude",
}  # fmt: skip
