"""Give a script the commands of Slurm that it calls by itself: `srun`, and `scontrol show hostnames`."""

import secrets
import shlex
import sys
from pathlib import Path

import dcdaemon
from dcdaemon.cli.sbatch.script import state_directory
from dcdaemon.core.errors import StoreUnavailable

_ROOT = str(Path(dcdaemon.__file__).parents[1])
_SRUN = f"""\
import sys
sys.path.insert(0, {_ROOT!r})
from dcdaemon.cli.sbatch.srun import main
sys.exit(main(sys.argv[1:]))"""

_TOOLS = {
    "srun": f"""\
#!/bin/sh
exec {shlex.quote(sys.executable)} -I -c {shlex.quote(_SRUN)} "$@"
""",
    "scontrol": """\
#!/bin/sh
case "$1 $2" in
"show hostname" | "show hostnames") echo "${3:-$SLURM_JOB_NODELIST}" | tr , '\\n' ;;
*)
    echo "scontrol: error: only 'scontrol show hostnames' is known inside a job" >&2
    echo "scontrol: hint: dcd show, dcd hold, dcd requeue and others do the rest" >&2
    exit 1
    ;;
esac
""",
}


def keep_tools() -> Path:
    """Write them where only this user may, if they are not there yet; return the directory for the script's PATH."""
    directory = state_directory() / "bin"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in _TOOLS.items():
            _write(directory / name, text)
    except OSError as error:
        raise StoreUnavailable(
            f"srun could not be written to {directory}: {error.strerror}",
            "make room there, or name another directory in XDG_STATE_HOME; nothing was queued",
        ) from error
    return directory


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text() == text:
        return
    temporary = path.with_name(f".{secrets.token_hex(4)}")
    try:
        temporary.write_text(text)
        temporary.chmod(0o500)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
