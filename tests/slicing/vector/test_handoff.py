"""The files for makers' own software: word for word, and read again by others than who wrote them."""

from __future__ import annotations

import base64
import io
import re
import zlib
from math import pi, tau

import numpy as np
import pytest
import svgelements  # type: ignore[import-untyped]
from lxml import etree  # type: ignore[import-untyped]
from PIL import Image

from slicing.vector import handoff, strokes, svg
from slicing.vector.engrave import fill_scans
from slicing.vector.machines import CUTTERS, CutMachine
from slicing.vector.toolpath import CUT, ENGRAVE, IGNORE, SCORE, Contour, Operation, Scan, Settings, Toolpath

BED = CutMachine(name="small", bed_mm=(100.0, 50.0), language="handoff", source="co2")
SLOW = Settings(speed_mm_s=15.0, power_permille=700, passes=2)
FAST = Settings(speed_mm_s=200.0, power_permille=255, interval_mm=0.2)


def a_contour(
    *points: tuple[float, float], closed: bool = False, gaps: tuple[tuple[float, float], ...] = ()
) -> Contour:
    return Contour(points=np.array(points, dtype=np.float64), closed=closed, gaps=gaps)


def a_circle(radius: float, x: float, y: float) -> Contour:
    angles = np.linspace(0, tau, 401)[:-1]
    return Contour(
        points=np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)]), closed=True
    )


def an_operation(
    kind: str, *contours: Contour, settings: Settings = SLOW, scans: tuple[Scan, ...] = ()
) -> Operation:
    return Operation(kind=kind, key="k", settings=settings, contours=contours, scans=scans)


def a_toolpath(*operations: Operation) -> Toolpath:
    return Toolpath(machine=BED.name, material="poplar plywood 3 mm", operations=operations)


SQUARE = a_contour((10, 10), (30, 10), (30, 20), (10, 20), closed=True)
A_RING = [a_circle(10, 50, 25).points, a_circle(4, 50, 25).points]
RING = an_operation(ENGRAVE, settings=FAST, scans=fill_scans(A_RING, True, FAST))

GOLDEN = """\
<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" version="1.1" \
width="100mm" height="50mm" viewBox="0 0 100 50">
<title>small, poplar plywood 3 mm, {sha}</title>
<g id="operation-1" inkscape:groupmode="layer" inkscape:label="1 score, 200 mm/s, 25.5 %, 1 x">\
<title>1 score, 200 mm/s, 25.5 %, 1 x</title>\
<path fill="none" stroke="#0000ff" stroke-width="0.02" d="M0 50L1.234 47.5"/></g>
<g id="operation-2" inkscape:groupmode="layer" inkscape:label="2 cut, 15 mm/s, 70 %, 2 x">\
<title>2 cut, 15 mm/s, 70 %, 2 x</title>\
<path fill="none" stroke="#ff0000" stroke-width="0.02" d="M10 40L30 40L30 30L10 30Z"/></g>
</svg>
"""


def test_the_svg_is_this_word_for_word() -> None:
    scored = an_operation(SCORE, a_contour((0, 0), (1.2344, 2.5)), settings=FAST)
    toolpath = a_toolpath(scored, an_operation(CUT, SQUARE))

    assert handoff.write_svg(toolpath, BED).decode() == GOLDEN.format(sha=toolpath.sha256[:12])


def strokes_of(body: bytes) -> list[tuple[str, str]]:
    return re.findall(r'stroke="(#[0-9a-f]{6})"[^>]* d="([^"]*)"', body.decode())


def test_lengths_and_places_are_what_svgelements_reads() -> None:
    contours = [SQUARE, a_circle(7, 60, 25), a_contour((1, 1), (99, 49))]
    body = handoff.write_svg(a_toolpath(an_operation(CUT, *contours)), BED)

    read = list(
        svgelements.SVG.parse(io.BytesIO(body), ppi=25.4).elements(lambda e: isinstance(e, svgelements.Path))
    )

    for path, contour in zip(read, contours, strict=True):
        low_x, low_y, high_x, high_y = path.bbox()
        assert path.length() == pytest.approx(strokes.length_mm(strokes.line_of(contour)), rel=1e-3)
        assert (low_x, high_x) == pytest.approx(
            (contour.points[:, 0].min(), contour.points[:, 0].max()), abs=2e-3
        )
        assert (50 - high_y, 50 - low_y) == pytest.approx(
            (contour.points[:, 1].min(), contour.points[:, 1].max()), abs=2e-3
        )


def test_our_own_reader_finds_the_same_lines_and_no_fault() -> None:
    contours = [SQUARE, a_circle(7, 60, 25)]

    design = svg.read(handoff.write_svg(a_toolpath(an_operation(CUT, *contours), RING), BED))

    cut = [line for shape in design.shapes if shape.stroke == "#ff0000" for line in shape.lines]
    lengths = [
        strokes.length_mm(strokes.line_of(Contour(points=line.points, closed=line.closed))) for line in cut
    ]
    assert lengths == pytest.approx([60, 14 * pi], rel=1e-3)
    assert design.size_mm == pytest.approx((100, 50))
    assert {shape.layer for shape in design.shapes} == {
        "1 cut, 15 mm/s, 70 %, 2 x",
        "2 engrave, 200 mm/s, 25.5 %, 1 x, interval 0.2 mm",
    }
    assert design.warnings == ()


def test_each_setting_has_its_colour_and_the_same_setting_the_same() -> None:
    other = Settings(speed_mm_s=20.0, power_permille=500)
    line = a_contour((0, 0), (1, 1))
    operations = [an_operation(SCORE, line), an_operation(CUT, line), an_operation(CUT, line, settings=other)]
    operations += [an_operation(CUT, line), an_operation(ENGRAVE, line), an_operation(IGNORE, line)]

    colours = [colour for colour, _ in strokes_of(handoff.write_svg(a_toolpath(*operations), BED))]

    assert colours == ["#0000ff", "#ff0000", "#00e000", "#ff0000", "#000000"]


def test_there_are_colours_for_more_settings_than_the_palette_has() -> None:
    line = a_contour((0, 0), (1, 1))
    many = [
        an_operation(CUT, line, settings=Settings(speed_mm_s=n + 1, power_permille=500)) for n in range(60)
    ]

    colours = [colour for colour, _ in strokes_of(handoff.write_svg(a_toolpath(*many), BED))]

    assert len(set(colours)) == 28
    assert len(set(colours[:28])) == 28


def test_tabs_are_gaps_in_open_lines() -> None:
    tabbed = a_contour((10, 10), (30, 10), (30, 20), (10, 20), closed=True, gaps=((5, 8), (40, 42)))

    paths = [path for _, path in strokes_of(handoff.write_svg(a_toolpath(an_operation(CUT, tabbed)), BED))]

    assert paths == ["M10 40L15 40", "M18 40L30 40L30 30L20 30", "M18 30L10 30L10 40"]


def area(rings: list[np.ndarray]) -> float:
    def signed(ring: np.ndarray) -> float:
        x, y = ring.T
        return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)

    return signed(rings[0]) - sum(map(signed, rings[1:]))


def test_an_engraved_area_is_closed_and_filled_with_its_hole() -> None:
    design = svg.read(handoff.write_svg(a_toolpath(RING), BED))

    (shape,) = design.shapes
    assert (shape.fill, shape.stroke, shape.even_odd) == ("#000000", "", True)
    rings = sorted((line.points for line in shape.lines), key=lambda ring: -float(np.ptp(ring)))
    assert len(rings) == 2
    assert area(rings) == pytest.approx(pi * (10**2 - 4**2), rel=0.02)
    assert rings[0].min(axis=0) == pytest.approx([40, 15], abs=0.25)


def test_a_shaded_engraving_is_a_grey_picture_in_its_place() -> None:
    scans = tuple(
        Scan(y=10 + 0.2 * n, spans=np.array([[20.0, 25.0, 1.0], [25.0, 30.0, 0.5]])) for n in range(50)
    )
    body = handoff.write_svg(a_toolpath(an_operation(ENGRAVE, settings=FAST, scans=scans)), BED)

    element = etree.fromstring(body).find(".//{*}image")
    assert element is not None
    place = [float(element.get(name, "")) for name in ("x", "y", "width", "height")]
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(element.get("href", "").partition(",")[2]))))
    assert place == pytest.approx([20, 50 - 19.9, 10, 10])
    assert grey.shape == (50, 50)
    assert set(grey[:, :25].ravel().tolist()) == {0}
    assert set(grey[:, 25:].ravel().tolist()) == {128}


def test_names_with_marks_of_xml_stay_words() -> None:
    toolpath = Toolpath(machine="", material='<script>&"', operations=(an_operation(CUT, SQUARE),))

    root = etree.fromstring(handoff.write_svg(toolpath, BED))

    assert root.find("{*}title").text.startswith('small, <script>&"')
    assert root.find(".//{*}script") is None


def drawn_in(pdf: bytes) -> bytes:
    return zlib.decompress(re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)[0])


def test_the_pdf_is_true_to_scale_and_always_the_same() -> None:
    toolpath = a_toolpath(an_operation(CUT, SQUARE))

    first = handoff.write_pdf(toolpath, BED)

    assert first == handoff.write_pdf(toolpath, BED)
    assert b"/MediaBox [0 0 283.46 141.73]" in first
    words = drawn_in(first)
    assert b"1.000 0.000 0.000 RG" in words or b"1 0 0 RG" in words
    numbers = [
        float(n) / 72 * 25.4 for pair in re.findall(rb"(-?[\d.]+) (-?[\d.]+) [ml]\b", words) for n in pair
    ]
    seen = np.array(numbers).reshape(-1, 2)
    assert seen == pytest.approx(np.array([[10, 10], [30, 10], [30, 20], [10, 20]]), abs=0.01)


def test_the_pdf_holds_areas_pictures_and_lines() -> None:
    shaded = tuple(Scan(y=5 + 0.2 * n, spans=np.array([[80.0, 90.0, 0.5]])) for n in range(20))
    toolpath = a_toolpath(RING, an_operation(ENGRAVE, settings=FAST, scans=shaded), an_operation(CUT, SQUARE))

    body = handoff.write_pdf(toolpath, BED)

    assert b"/Subtype /Image" in body
    assert re.search(rb"\bf\*", drawn_in(body)) is not None


@pytest.mark.parametrize("write", [handoff.write_svg, handoff.write_pdf])
def test_an_empty_toolpath_is_an_empty_page(write: object) -> None:
    assert write(a_toolpath(), CUTTERS["co2-6040-handoff"])  # type: ignore[operator]
