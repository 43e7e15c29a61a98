"""The checks of `dcd doctor` on what the daemon reads: what is missing and why, and what does not answer."""

from collections.abc import Iterator

from dcdaemon.cli.check import OK, WARN, Check
from dcdaemon.cli.show.words import count
from dcdaemon.client.answer import Document

_LOG = "journalctl -u dcdaemon tells where; the other collectors go on"
#: What to do about a device that says an error, by its kind.
_FIXES = {
    "gpu": "nvidia-smi -q tells more of it; dcd gpus shows who holds it",
    "filesystem": "is its server there? umount -l lets go of a mount whose server is gone",
    "switch": "is it on, and do address and community or user fit ([snmp], [snmp_users])? snmpwalk asks by hand",
    "object_store": "do endpoint, bucket and keys in [object_store] fit? an error of the store itself passes",
    "drive": "smartctl -a tells more of it",
    "jobs": "it passes by itself once there is space, and the database takes writes",
}
_FIX = "dcd status shows each"


def collector_checks(status: Document) -> Iterator[Check]:
    """Judge what the daemon says of its collectors; hardware that is not there is well."""
    collectors = status.get("collectors", ())
    well = [one["name"] for one in collectors if one["running"] and not one["error"] and not one["lack"]]
    if well:
        yield Check("collectors", OK, f"{count(len(well), 'collector')} read: {', '.join(well)}")
    yield from (_check(one) for one in collectors if one["running"] and (one["error"] or one["lack"]))
    yield from (_trouble(one) for one in status.get("troubles", ()))
    idle = [f"{one['name']} ({one['lack']['why']})" for one in collectors if not one["running"] and one["lack"]]
    if idle:
        yield Check("roles", OK, f"node.roles {', '.join(status['roles'])}; not read: {', '.join(idle)}")


def _check(one: Document) -> Check:
    if one["error"]:
        return Check(one["name"], WARN, f"{one['name']}: {one['error']}", _LOG)
    lack = one["lack"]
    return Check(one["name"], WARN if lack["wrong"] else OK, lack["why"], lack["fix"])


def _trouble(one: Document) -> Check:
    message = f"{one['kind']} {one['device']}: {one['error']}"
    return Check(one["kind"], WARN, message, _FIXES.get(one["kind"], _FIX))
