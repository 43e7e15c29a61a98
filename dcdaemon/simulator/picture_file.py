"""Write a picture: SVG as it is, PNG by a program of this machine that can draw SVG."""

import os
import shutil
import subprocess
from pathlib import Path

from dcdaemon.core.errors import BadInput

#: Each reads SVG from its input and writes PNG to its output.
CONVERTERS = (
    ("rsvg-convert", "--format=png", "--zoom=2"),
    ("inkscape", "--pipe", "--export-type=png", "--export-filename=-", "--export-dpi=192"),
    ("magick", "-density", "192", "svg:-", "png:-"),
)
_PNG = b"\x89PNG\r\n\x1a\n"
_WITHIN_S = 120


def check(path: Path) -> None:
    """Raise BadInput when a picture cannot be written there: the ending, the folder, or no program for PNG."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise BadInput(f"a picture ends in .svg or .png, not {path.name!r}", "for example --picture compare.svg")
    if path.is_dir():
        raise BadInput(f"{path} is a folder, not a picture", "name a file in it")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise BadInput(f"the folder {path.parent} is not there, or nothing can be written in it", "make it first")
    if path.suffix.lower() == ".png" and not any(shutil.which(program) for program, *_ in CONVERTERS):
        raise BadInput("nothing here makes a PNG of an SVG", "install librsvg2-bin (rsvg-convert), or take .svg")


def write(path: Path, svg: str) -> None:
    """Write the picture whole or not at all; raises BadInput when that fails."""
    content = _png(svg.encode()) if path.suffix.lower() == ".png" else svg.encode()
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadInput(f"the picture {path} cannot be written: {error.strerror}", "take another --picture") from error


def _png(svg: bytes) -> bytes:
    program, *options = next(words for words in CONVERTERS if shutil.which(words[0]))
    try:
        done = subprocess.run([program, *options], input=svg, capture_output=True, check=False, timeout=_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{program} made no PNG within {_WITHIN_S} s", "take .svg") from error
    if done.returncode or not done.stdout.startswith(_PNG):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BadInput(f"{program} made no PNG: {said[-1] if said else f'exit code {done.returncode}'}", "take .svg")
    return done.stdout
