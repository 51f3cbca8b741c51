"""One layer as a picture: what is drawn, that nothing of the file's text is, and that it stays small."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from math import cos, hypot, sin
from pathlib import Path
from xml.etree import ElementTree

import pytest

from slicing.gcodetext import NotGcode
from slicing.layers import (
    LAYER_BYTES_MAX,
    MARGIN_MM,
    SVG_BYTES_MAX,
    layer_svg,
    overview,
)
from slicing.profile import PrintProfile
from slicing.prusaslicer import PrusaSlicer
from slicing.report import NotOurGcode
from slicing.sandbox import Sandbox
from tests.slicing.shapes import an_analyser, corpus, written
from tests.slicing.slicers import real_slicer

BED = (0.0, 0.0, 250.0, 210.0)
SVG = "{http://www.w3.org/2000/svg}"
FILE = b"""M83
;TYPE:Custom
G1 X60 E9
;LAYER_CHANGE
;Z:0.2
;HEIGHT:0.2
G1 X10 Y10 F9000
;TYPE:External perimeter
G1 X20 E1
G1 Y20 E1
G1 X10 Y10 E1
G1 E-.8 F2100
G1 X12 Y12
G1 E.8
;TYPE:Internal infill
G1 X14.1234 Y12 E.2
;LAYER_CHANGE
;Z:.4
;WIPE_START
G1 X13 Y12 E-.1
;WIPE_END
G1 X30 Y30 Z.4
G1 X40 Y30 E1
;TYPE:<script>alert(1)</script>
G1 X40 Y40 E1
"""


def drawn(svg: str) -> dict[str, list[list[tuple[float, float]]]]:
    """By class, each line's points in mm, y upwards again."""
    lines: dict[str, list[list[tuple[float, float]]]] = {}
    for path in ElementTree.fromstring(svg).iter(SVG + "path"):
        mine = lines.setdefault(path.attrib["class"], [])
        for one in path.attrib["d"].split("M")[1:]:
            start, steps = one.split("l")
            x, y = map(int, re.findall(r"-?\d+", start))
            points = [(x / 100, -y / 100)]
            numbers = list(map(int, re.findall(r"-?\d+", steps)))
            for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
                x, y = x + dx, y + dy
                points.append((x / 100, -y / 100))
            mine.append(points)
    return lines


def picture(text: bytes, number: int, **more: tuple[float, float, float, float]) -> str:
    file = io.BytesIO(text)
    first, end = overview(file).span(number + 1)
    return layer_svg(file, first, end, BED, **more)


def test_layers_are_found_where_they_begin_and_seen_as_far_as_all_of_them_draw() -> None:
    seen = overview(io.BytesIO(FILE))
    low, high = seen.first_bytes
    assert FILE[low:].startswith(b";LAYER_CHANGE\n;Z:0.2")
    assert FILE[high:].startswith(b";LAYER_CHANGE\n;Z:.4")
    assert (seen.span(1), seen.span(2)) == ((low, high), (high, len(FILE)))
    for number in (0, 3):
        with pytest.raises(IndexError):
            seen.span(number)
    assert seen.view_mm is not None
    x, y, width, depth = seen.view_mm
    assert (x, y) == (10 - MARGIN_MM, 10 - MARGIN_MM)
    assert min(width, depth) >= 10 + 2 * MARGIN_MM
    assert overview(io.BytesIO(b"G28\n")).first_bytes == ()


def test_a_layer_is_drawn_by_feature_and_travels_apart() -> None:
    assert drawn(picture(FILE, 0)) == {
        "external-perimeter": [[(10, 10), (20, 10), (20, 20), (10, 10)]],
        "internal-infill": [[(12, 12), (14.12, 12)]],
        "travel": [[(10, 10), (12, 12)]],
    }


def test_a_layer_that_does_not_say_its_feature_goes_on_with_the_last_one() -> None:
    lines = drawn(picture(FILE, 1))
    assert lines["internal-infill"] == [[(30, 30), (40, 30)]]
    assert lines["other"] == [[(40, 30), (40, 40)]]  # a feature we do not know
    assert lines["travel"] == [[(13, 12), (30, 30)]]  # where it came from before that nobody knows


def test_the_picture_shows_what_is_drawn_or_what_was_asked_for_with_y_upwards() -> None:
    def view(svg: str) -> list[float]:
        return [float(number) / 100 for number in ElementTree.fromstring(svg).attrib["viewBox"].split()]

    edge = MARGIN_MM
    assert view(picture(FILE, 0)) == [10 - edge, -20 - edge, 10 + 2 * edge, 10 + 2 * edge]
    assert view(picture(FILE, 0, view_mm=(5, 6, 70, 80))) == [5, -86, 70, 80]
    assert view(picture(b";LAYER_CHANGE\n", 0)) == [0, -210, 250, 210]


def test_nothing_of_the_files_text_is_in_the_picture() -> None:
    text = FILE.replace(b"\n", b" ; <script>x</script>\n").replace(b"E1", b"E1 ; &lol;")
    svg = picture(text, 1)
    tags = [element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()]
    assert set(tags) == {"svg", "style", "rect", "path"}
    assert "script" not in svg
    assert "lol" not in svg
    for path in ElementTree.fromstring(svg).iter(SVG + "path"):
        assert set(path.attrib) == {"class", "d"}
        assert re.fullmatch(r"[Ml0-9 -]+", path.attrib["d"])


def test_straight_ways_lose_their_points_and_curves_keep_their_shape() -> None:
    straight = b"".join(b"G1 X%d Y10 E1\n" % x for x in range(11, 200))
    head = b";LAYER_CHANGE\nG1 X10 Y10\n;TYPE:Perimeter\n"
    (line,) = drawn(picture(head + straight, 0))["perimeter"]
    assert (line[0], line[-1]) == ((10, 10), (199, 10))
    assert len(line) < 20

    turns = [(100 + 50 * cos(i / 500), 100 + 50 * sin(i / 500)) for i in range(3100)]
    curve = b"".join(b"G1 X%.3f Y%.3f E1\n" % turn for turn in turns)
    (line,) = drawn(picture(b";LAYER_CHANGE\nG1 X150 Y100\n;TYPE:Perimeter\n" + curve, 0))["perimeter"]
    assert 60 < len(line) < 1600
    radii = [hypot(x - 100, y - 100) for x, y in line]
    radii += [hypot((x + a) / 2 - 100, (y + b) / 2 - 100) for (x, y), (a, b) in pairwise(line)]
    assert min(radii) > 50 - 0.06
    assert max(radii) < 50 + 0.02


def test_a_layer_of_a_million_lines_stays_a_small_picture() -> None:
    zigzag = b"".join(b"G1 X%d.%03d Y%d E1\n" % (i % 250, i * 7 % 1000, i * 13 % 210) for i in range(600_000))
    svg = picture(b";LAYER_CHANGE\nG1 X10 Y10\n;TYPE:Internal infill\n" + zigzag, 0)
    assert 0 < len(svg) <= SVG_BYTES_MAX
    assert ElementTree.fromstring(svg).find(SVG + "path") is not None


def test_many_short_lines_that_nothing_simplifies_stay_a_small_picture() -> None:
    dashes = b"".join(
        b"G1 X%d Y%d\nG1 X%d Y%d E1\n" % (i % 250, i % 199, i % 250 + 3, i % 199 + 2) for i in range(200_000)
    )
    svg = picture(b";LAYER_CHANGE\nG1 X10 Y10\n;TYPE:Gap fill\n" + dashes, 0)
    assert SVG_BYTES_MAX / 10 < len(svg) <= SVG_BYTES_MAX


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(NotGcode):
        picture(b";LAYER_CHANGE\nG1 Xfive\n", 0)
    with pytest.raises(NotGcode):
        layer_svg(io.BytesIO(b""), 0, LAYER_BYTES_MAX + 1, BED)
    assert "<path" not in picture(b";LAYER_CHANGE\nM107\n;nothing here\n", 0)


async def test_every_layer_of_a_real_slice_is_drawn_by_the_analyser(tmp_path: Path) -> None:
    real_slicer()
    profile = PrintProfile.resolve("mk3s")
    async with an_analyser() as analyser:
        slicer = PrusaSlicer(Sandbox(), analyser)
        result = await slicer.slice(corpus() / "nop_1x1_bin.stl", profile, 1, tmp_path / "out")
        seen = await analyser.overview(result.gcode_path)
        layers = seen.first_bytes
        assert len(layers) == result.report.layers

        for number in (0, 1, len(layers) // 2, len(layers) - 1):
            out = tmp_path / "layer.svg"
            await analyser.layer(result.gcode_path, *seen.span(number + 1), profile, out)
            lines = drawn(out.read_text())
            assert "external-perimeter" in lines
            assert not {"custom", "other"} & set(lines)
            assert ("skirt-brim" in lines) == (number < 2)
            width = max(x for line in lines["external-perimeter"] for x, _ in line)
            assert 0 < width < 250


async def test_the_analyser_says_that_a_layer_cannot_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, b";LAYER_CHANGE\nG1 Xfive\n")
    async with an_analyser() as analyser:
        with pytest.raises(NotOurGcode, match="not a number"):
            await analyser.layer(path, 0, 30, PrintProfile.resolve("mk3s"), tmp_path / "layer.svg")
