"""The picture: well-formed, complete, to scale, and written whole or not at all."""

import shutil
import xml.etree.ElementTree as ET

import pytest
from recordings import JOBS, SMALL

from dcdaemon.core.errors import BadInput
from dcdaemon.simulator import picture_file
from dcdaemon.simulator.choices import chosen
from dcdaemon.simulator.picture import COLORS, draw
from dcdaemon.simulator.study import Study, carry_out
from dcdaemon.simulator.workload import RecordedJob, Workload

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*workloads):
    return ET.fromstring(draw(carry_out(Study(workloads, SMALL, chosen(["fifo", "easy"])))))  # noqa: S314  our own


def words(picture):
    return [text.text for text in picture.iter(f"{SVG}text")]


def bars(picture, color):
    """The widths of the bars of one policy, without its sign in the legend."""
    return [float(bar.get("width")) for bar in picture.iter(f"{SVG}rect") if bar.get("fill") == color][1:]


def test_each_recording_has_its_curves_and_its_bars():
    picture = drawn(Workload("first", JOBS), Workload("a < b & c", JOBS[:3]))
    assert len(list(picture.iter(f"{SVG}polyline"))) == 4
    assert "first: 6 jobs on 2 nodes x 2 GPUs, offered load 2.88" in words(picture)
    assert any(text.startswith("a < b & c: 3 jobs") for text in words(picture))
    assert words(picture)[:2] == ["fifo", "easy"]
    width, height = float(picture.get("width")), float(picture.get("height"))
    for text in picture.iter(f"{SVG}text"):
        assert 0 < float(text.get("x")) < width
        assert 0 < float(text.get("y")) < height


def test_bars_are_to_scale_and_what_is_unknown_has_none():
    picture = drawn(Workload("first", JOBS))
    fifo, easy = bars(picture, COLORS[0]), bars(picture, COLORS[1])
    # Eight figures but the wait of jobs of 16 GPUs, which are not there.
    assert len(fifo) == len(easy) == 7
    assert easy[2] / fifo[2] == pytest.approx((210 / 6) / (425 / 6), abs=0.01), "mean wait: 0, 0, 90, 0, 120, 0"
    assert max(fifo) == 240


def test_curves_end_where_all_jobs_have_started_and_begin_with_those_that_did_not_wait():
    picture = drawn(Workload("first", JOBS))
    curve = next(iter(picture.iter(f"{SVG}polyline"))).get("points").split()
    (_, bottom_y), (_, top_y) = (tuple(map(float, point.split(","))) for point in (curve[0], curve[-1]))
    lines = [float(line.get("y1")) for line in picture.iter(f"{SVG}line") if line.get("y1") == line.get("y2")]
    share = (max(lines) - bottom_y) / (max(lines) - min(lines))
    assert share == pytest.approx(2 / 6, abs=0.01)
    assert top_y == min(lines)


def test_jobs_that_never_wait_can_be_drawn():
    assert drawn(Workload("calm", [RecordedJob(0, 10, 1)])).tag == f"{SVG}svg"


def test_a_picture_is_written_whole(tmp_path):
    path = tmp_path / "new.svg"
    path.write_text("old")
    picture_file.check(path)
    picture_file.write(path, "<svg/>")
    assert path.read_text() == "<svg/>"
    assert [one.name for one in tmp_path.iterdir()] == ["new.svg"]


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path):
    taken = tmp_path / "folder.svg"
    taken.mkdir()
    with pytest.raises(BadInput, match=r"folder\.svg cannot be written: Is a directory"):
        picture_file.write(taken, "<svg/>")
    assert [one.name for one in tmp_path.iterdir()] == ["folder.svg"]


def test_places_and_endings_are_looked_at_before_anything_is_played(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match=r"a picture ends in \.svg or \.png, not 'x\.jpg'"):
        picture_file.check(tmp_path / "x.jpg")
    with pytest.raises(BadInput, match=r"the folder .*/none is not there"):
        picture_file.check(tmp_path / "none" / "x.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(BadInput, match=r"folder\.svg is a folder, not a picture"):
        picture_file.check(tmp_path / "folder.svg")
    monkeypatch.setenv("PATH", str(tmp_path))
    picture_file.check(tmp_path / "x.svg")
    with pytest.raises(BadInput, match="nothing here makes a PNG of an SVG") as caught:
        picture_file.check(tmp_path / "x.png")
    assert "rsvg-convert" in caught.value.hint


def fake_converter(folder, script):
    program = folder / "rsvg-convert"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_converter_that_fails_is_told_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for script, said in (("cat >/dev/null; echo no fonts >&2; exit 3", "no fonts"), ("cat", "exit code 0")):
        fake_converter(tmp_path, script)
        with pytest.raises(BadInput, match=f"rsvg-convert made no PNG: {said}"):
            picture_file.write(tmp_path / "x.png", "<svg/>")
        assert not (tmp_path / "x.png").exists()


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="rsvg-convert is not installed")
def test_a_png_is_drawn_at_twice_the_size(tmp_path):
    path = tmp_path / "x.PNG"
    picture_file.check(path)
    picture_file.write(path, draw(carry_out(Study([Workload("a", JOBS)], SMALL, chosen(["fifo"])))))
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20], "big") == 2000
