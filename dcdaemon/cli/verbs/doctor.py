"""`dcd doctor`: look at this machine and the daemon, and say what to mend."""

from dcdaemon.cli.check import FAIL, OK, WARN, Check
from dcdaemon.cli.checks import daemon_checks, local_checks
from dcdaemon.cli.options import daemon, output, verb
from dcdaemon.cli.show.output import Output, Page, emit
from dcdaemon.cli.show.words import printable
from dcdaemon.client.http import Client
from dcdaemon.core.errors import Unreachable

_EXIT_CODES = {OK: 0, WARN: 1, FAIL: 2}


@verb("doctor", "dcd doctor", "dcd doctor --json")
@daemon
@output
def command(client: Client, out: Output) -> int:
    """Check machine and daemon; exit like a Nagios plugin: 0 ok, 1 warnings, 2 failures, 3 no daemon."""
    checks = [*local_checks(), *daemon_checks(client)]
    code = exit_code(checks)
    rows = [check.as_json() for check in checks]
    document = {"schema": 1, "exit_code": code, "checks": rows}
    emit(Page(document, rows, id_key="name", text="\n".join(_line(check) for check in checks)), out)
    return code


def exit_code(checks: list[Check]) -> int:
    """Return the worst level, or 3 (unknown) when the daemon did not answer: most was not looked at."""
    if any(check.name == "daemon" and check.level == FAIL for check in checks):
        return Unreachable.exit_code
    return max(_EXIT_CODES[check.level] for check in checks)


def _line(check: Check) -> str:
    word = "hint" if check.level == OK else "fix"
    fix = f"\n        {word}: {printable(check.fix)}" if check.fix else ""
    return f" {check.level:<5} {printable(check.message)}{fix}"
