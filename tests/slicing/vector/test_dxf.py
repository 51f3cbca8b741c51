"""A DXF becomes a Design: lengths by closed forms, blocks opened, units asked, and whatever is broken said in words.

The drawings are made by ezdxf itself; where it could not make them (broken ones), by hand.
"""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO, StringIO
from math import acos, atan, hypot, pi, sin, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicing.faults import FileRefused
from slicing.vector import dxf, dxfshapes
from slicing.vector.design import FLATTEN_MM, Design, FloatArray, Shape
from slicing.vector.quietdxf import ezdxf
from tests.services import ROOT


def a_drawing(version: str = "R2010", units: int = 4) -> Any:
    drawing = ezdxf.filemanagement.new(version)
    if version != "R12":
        drawing.units = units
    return drawing


def written(drawing: Any) -> bytes:
    out = StringIO()
    drawing.write(out)
    return out.getvalue().encode()


def binary(drawing: Any) -> bytes:
    out = BytesIO()
    drawing.write(out, fmt="bin")
    return out.getvalue()


def length(points: FloatArray, closed: bool) -> float:
    ring = np.vstack([points, points[:1]]) if closed else points
    return float(np.hypot(*np.diff(ring, axis=0).T).sum())


def total(shapes: tuple[Shape, ...]) -> float:
    return sum(length(line.points, line.closed) for shape in shapes for line in shape.lines)


def codes(design: Design) -> set[str]:
    return {warning.code for warning in design.warnings}


def refusal(data: bytes) -> str:
    with pytest.raises(FileRefused) as caught:
        dxf.read(data)
    return caught.value.code


def outcome(data: bytes) -> str:
    try:
        return "read" if dxf.read(data).shapes else "nothing"
    except FileRefused as no:
        return no.code


# --- lengths --------------------------------------------------------------------------------------

QUARTER = sqrt(2) - 1  # the bulge of a quarter circle
ELLIPSE = 4 * 50 * 1.2110560275684594  # perimeter of half axes 50 and 25: 4 a E(e)


@pytest.mark.parametrize(
    ("kind", "arguments", "expected_mm"),
    [
        ("line", [(0, 0), (30, 40)], 50.0),
        ("circle", [(5, 5), 1.0], 2 * pi),
        ("circle", [(5, 5), 500.0], 1000 * pi),
        ("arc", [(0, 0), 10.0, 350.0, 20.0], 10 * pi / 6),
        ("ellipse", [(0, 0), (50, 0), 0.5], ELLIPSE),
        ("lwpolyline", [[(0, 0), (10, 0), (10, 10)]], 20.0),
    ],
)
def test_an_entitys_length_is_that_of_its_formula(
    kind: str, arguments: list[Any], expected_mm: float
) -> None:
    drawing = a_drawing()
    getattr(drawing.modelspace(), f"add_{kind}")(*arguments)

    design = dxf.read(written(drawing))

    assert total(design.shapes) == pytest.approx(expected_mm, rel=3e-4)
    assert design.kind == "dxf"
    assert design.warnings == ()


def test_bulges_are_arcs_of_their_own_radius() -> None:
    drawing = a_drawing()
    rounded = [(10, 0, 0), (90, 0, QUARTER), (100, 10, 0), (100, 40, QUARTER), (90, 50, 0), (10, 50, QUARTER)]
    rounded += [(0, 40, 0), (0, 10, QUARTER)]
    drawing.modelspace().add_lwpolyline(rounded, format="xyb", close=True)

    (shape,) = dxf.read(written(drawing)).shapes

    assert total((shape,)) == pytest.approx(2 * 80 + 2 * 30 + 2 * pi * 10, rel=3e-4)
    assert shape.lines[0].closed
    assert shape.lines[0].points.min(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert shape.lines[0].points.max(axis=0) == pytest.approx([100, 50], abs=1e-9)


@given(
    bulge=st.floats(-20, 20).filter(lambda bulge: abs(bulge) > 1e-3),
    end=st.tuples(st.floats(-100, 100), st.floats(-100, 100)).filter(lambda end: hypot(*end) > 0.1),
)
def test_a_bulged_segment_lies_on_its_circle_and_ends_at_its_end(
    bulge: float, end: tuple[float, float]
) -> None:
    rows = np.array([[0.0, 0.0, bulge], [*end, 0.0]])

    points = dxfshapes.bulged(rows, False, FLATTEN_MM, 1_000_000)

    sweep = 4 * abs(atan(bulge))
    radius = hypot(*end) / 2 / sin(sweep / 2)
    assert points[0] == pytest.approx([0, 0])
    assert points[-1] == pytest.approx(end)
    assert length(points, closed=False) == pytest.approx(radius * sweep, rel=3e-4)
    left = end[0] * points[1][1] - end[1] * points[1][0]
    assert len(points) == 2 or (left < 0) == (
        bulge > 0
    )  # a positive bulge turns to the left, so it lies to the right


@given(st.floats(0.01, 9_000))
@settings(max_examples=30)
def test_no_chord_is_further_from_its_circle_than_promised(radius: float) -> None:
    drawing = a_drawing()
    drawing.modelspace().add_circle((0, 0), radius / 2)

    (shape,) = dxf.read(written(drawing)).shapes

    turn = 2 * pi / len(shape.lines[0].points)
    assert radius / 2 * (1 - np.cos(turn / 2)) <= FLATTEN_MM * 1.0001
    assert turn <= max(2 * acos(max(0.0, 1 - FLATTEN_MM / (radius / 2))), dxfshapes.TURN_MAX) + 1e-9


def test_a_spline_is_as_long_as_its_curve() -> None:
    drawing = a_drawing()
    drawing.modelspace().add_spline_control_frame([(0, 0), (0, 100), (100, 100), (100, 0)])
    curve = drawing.modelspace()[0].construction_tool()
    fine = np.array([(p.x, p.y) for p in curve.points(np.linspace(0, curve.max_t, 20_001))])

    design = dxf.read(written(drawing))

    assert total(design.shapes) == pytest.approx(length(fine, closed=False), rel=1e-4)


def test_old_polylines_are_read_in_both_their_kinds() -> None:
    drawing = a_drawing("R12")
    drawing.modelspace().add_polyline2d([(0, 0, 1.0), (10, 0, 0)], format="xyb")
    drawing.modelspace().add_polyline3d([(0, 0, 0), (0, 10, 0), (10, 10, 0)], close=True)

    half_circle, triangle = dxf.read(written(drawing), unit="mm").shapes

    assert total((half_circle,)) == pytest.approx(5 * pi, rel=3e-4)
    assert total((triangle,)) == pytest.approx(20 + sqrt(200))
    assert triangle.lines[0].closed


# --- the page -------------------------------------------------------------------------------------


def test_the_page_is_the_drawings_box_and_y_goes_down() -> None:
    drawing = a_drawing()
    drawing.modelspace().add_line((100, 200), (130, 240))

    design = dxf.read(written(drawing))

    assert design.size_mm == pytest.approx((30, 40))
    assert design.shapes[0].lines[0].points == pytest.approx(np.array([[0, 40], [30, 0]]))


def test_what_is_drawn_seen_from_below_is_mirrored() -> None:
    drawing = a_drawing()
    drawing.modelspace().add_line((0, 0), (1, 0))
    drawing.modelspace().add_circle((30, 0), 5, dxfattribs={"extrusion": (0, 0, -1)})

    design = dxf.read(written(drawing))

    assert design.size_mm[0] == pytest.approx(36, abs=0.01)  # the circle lies at x = -30


def test_a_line_that_rises_is_cut_as_seen_from_above_and_said() -> None:
    drawing = a_drawing()
    drawing.modelspace().add_line((0, 0, 0), (3, 4, 12))

    design = dxf.read(written(drawing))

    assert total(design.shapes) == pytest.approx(5)
    assert codes(design) == {"dxf.heights"}


# --- the unit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "name", "mm"),
    [(1, "inch", 25.4), (4, "mm", 1.0), (5, "cm", 10.0), (6, "m", 1000.0), (9, "mil", 0.0254)],
)
def test_a_drawing_that_says_its_unit_is_believed(units: int, name: str, mm: float) -> None:
    drawing = a_drawing(units=units)
    drawing.modelspace().add_line((0, 0), (3, 4))

    design = dxf.read(written(drawing))

    assert total(design.shapes) == pytest.approx(5 * mm)
    assert design.unit == name
    assert design.warnings == ()


BARE = "0\nSECTION\n2\nENTITIES\n0\nLINE\n8\nL1\n62\n1\n10\n0\n20\n0\n11\n3\n21\n4\n0\nENDSEC\n0\nEOF\n"


@pytest.mark.parametrize("data", [BARE.encode(), b"unitless"])
def test_a_drawing_that_says_no_unit_is_asked_about_with_both_readings(data: bytes) -> None:
    if data == b"unitless":
        drawing = a_drawing(units=0)
        drawing.modelspace().add_line((0, 0), (3, 4))
        data = written(drawing)

    (question,) = dxf.read(data).warnings

    assert (question.code, question.severity) == ("dxf.unit_unknown", "question")
    assert question.params == {
        "width_mm": 3.0,
        "height_mm": 4.0,
        "width_inch_mm": 76.2,
        "height_inch_mm": 101.6,
    }
    assert dxf.read(data).size_mm == pytest.approx((3, 4))
    assert dxf.read(data, unit="inch").size_mm == pytest.approx((76.2, 101.6))
    assert dxf.read(data, unit="inch").warnings == ()


# --- colours and layers ---------------------------------------------------------------------------


def test_colours_come_from_the_entity_its_layer_or_its_block() -> None:
    drawing = a_drawing()
    drawing.layers.add("Coupe", color=1)
    drawing.layers.add("Gravure", true_color=ezdxf.colors.rgb2int((0, 128, 255)))
    block = drawing.blocks.new("part")
    block.add_line((0, 0), (1, 0), dxfattribs={"color": 0, "layer": "0"})
    block.add_line((0, 0), (2, 0), dxfattribs={"layer": "0"})
    block.add_line((0, 0), (3, 0), dxfattribs={"layer": "Gravure"})
    space = drawing.modelspace()
    space.add_line((0, 0), (4, 0), dxfattribs={"layer": "Coupe"})
    space.add_line((0, 0), (5, 0), dxfattribs={"layer": "Coupe", "color": 3})
    space.add_line((0, 0), (6, 0), dxfattribs={"layer": "Coupe", "true_color": 0xABCDEF})
    space.add_line((0, 0), (7, 0))
    space.add_blockref("part", (0, 0), dxfattribs={"layer": "Coupe", "color": 5})

    design = dxf.read(written(drawing))

    seen = {round(total((shape,))): (shape.stroke, shape.layer) for shape in design.shapes}
    assert seen == {
        1: ("#0000ff", "Coupe"),
        2: ("#ff0000", "Coupe"),
        3: ("#0080ff", "Gravure"),
        4: ("#ff0000", "Coupe"),
        5: ("#00ff00", "Coupe"),
        6: ("#abcdef", "Coupe"),
        7: ("#000000", ""),
    }


def test_what_is_hidden_is_left_out_and_said() -> None:
    drawing = a_drawing()
    drawing.layers.add("off").off()
    drawing.layers.add("frozen").freeze()
    space = drawing.modelspace()
    space.add_line((0, 0), (1, 0))
    for layer in ("off", "frozen", "Defpoints"):
        space.add_line((0, 0), (99, 0), dxfattribs={"layer": layer})
    space.add_line((0, 0), (99, 0), dxfattribs={"invisible": 1})

    design = dxf.read(written(drawing))

    (hidden,) = design.warnings
    assert total(design.shapes) == pytest.approx(1)
    assert (hidden.code, hidden.params["count"]) == ("dxf.hidden", 4)
    assert "frozen" in hidden.text_fr


# --- blocks ---------------------------------------------------------------------------------------


def test_a_block_is_drawn_wherever_it_is_inserted_as_it_is_placed() -> None:
    drawing = a_drawing()
    block = drawing.blocks.new("part", base_point=(5, 0))
    block.add_circle((5, 0), 10)
    space = drawing.modelspace()
    space.add_blockref("part", (100, 0), dxfattribs={"xscale": 2, "yscale": 1, "rotation": 90})
    space.add_blockref("part", (200, 0))

    ellipse, circle = dxf.read(written(drawing)).shapes

    assert np.ptp(ellipse.lines[0].points, axis=0) == pytest.approx([20, 40], abs=0.01)
    assert np.ptp(circle.lines[0].points, axis=0) == pytest.approx([20, 20], abs=0.01)
    assert circle.lines[0].points.mean(axis=0)[0] - ellipse.lines[0].points.mean(axis=0)[0] == pytest.approx(
        100
    )


def test_a_grid_of_inserts_is_drawn_in_every_place() -> None:
    drawing = a_drawing()
    drawing.blocks.new("dot").add_circle((0, 0), 1)
    grid = {"row_count": 3, "column_count": 4, "row_spacing": 10, "column_spacing": 10}
    drawing.modelspace().add_blockref("dot", (0, 0), dxfattribs=grid)

    design = dxf.read(written(drawing))

    assert len(design.shapes) == 12
    assert design.size_mm == pytest.approx((32, 22), abs=0.01)


def a_block_bomb(levels: int, fan: int) -> bytes:
    drawing = a_drawing()
    drawing.blocks.new("b0").add_line((0, 0), (1, 0))
    for level in range(1, levels):
        block = drawing.blocks.new(f"b{level}")
        for _ in range(fan):
            block.add_blockref(f"b{level - 1}", (0, 0))
    drawing.modelspace().add_blockref(f"b{levels - 1}", (0, 0))
    return written(drawing)


def a_recursive_block() -> bytes:
    drawing = a_drawing()
    drawing.blocks.new("a").add_blockref("b", (0, 0))
    drawing.blocks.new("b").add_blockref("a", (0, 0))
    drawing.modelspace().add_blockref("a", (0, 0))
    return written(drawing)


def a_huge_grid() -> bytes:
    drawing = a_drawing()
    drawing.blocks.new("dot").add_circle((0, 0), 1)
    grid = {"row_count": 30_000, "column_count": 30_000, "row_spacing": 1, "column_spacing": 1}
    drawing.modelspace().add_blockref("dot", (0, 0), dxfattribs=grid)
    return written(drawing)


def many_circles() -> bytes:
    drawing = a_drawing()
    block = drawing.blocks.new("rings")
    for _ in range(1500):
        block.add_circle((0, 0), 4_000)
    drawing.modelspace().add_blockref("rings", (0, 0))
    return written(drawing)


def a_line_to(x: str) -> bytes:
    return BARE.replace("\n11\n3\n", f"\n11\n{x}\n").encode()


def only_text() -> bytes:
    drawing = a_drawing()
    drawing.modelspace().add_text("Bonjour")
    return written(drawing)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file.empty"),
        (b" \r\n ", "file.empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "dxf.not_dxf"),
        (b"solid cube\n", "dxf.not_dxf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "dxf.not_dxf"),
        (b"AC1027" + bytes(100), "dxf.dwg"),
        (b"0\nSECTION\n2\nENTITIES\n", "dxf.truncated"),
        (BARE[: BARE.index("ENDSEC")].encode(), "dxf.truncated"),
        (BARE.replace("\n8\n", "\nlayer\n").encode(), "dxf.damaged"),
        (b"AutoCAD Binary DXF\r\n\x1a\x00", "dxf.truncated"),
        (b"AutoCAD Binary DXF\r\n\x1a\x00" + b"\xff" * 50 + b"EOF\0", "dxf.damaged"),
        (b"0\nSECTION\n2\nENTITIES\n0\nENDSEC\n0\nEOF\n", "dxf.nothing"),
        (only_text(), "dxf.nothing"),
        (a_line_to("nan"), "dxf.not_finite"),
        (a_line_to("inf"), "dxf.not_finite"),
        (a_line_to("1e308"), "dxf.not_finite"),
        (a_line_to("10001"), "dxf.not_finite"),
        (a_block_bomb(9, 10), "dxf.too_many"),
        (a_block_bomb(20, 1), "dxf.blocks_too_deep"),
        (a_recursive_block(), "dxf.blocks_too_deep"),
        (a_huge_grid(), "dxf.too_many"),
        (many_circles(), "dxf.too_long"),
        (b"0\nSECTION\n" + b" " * dxf.BYTES_MAX, "dxf.too_large"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(data: bytes, code: str) -> None:
    assert refusal(data) == code


def test_wherever_a_drawing_is_cut_short_it_is_refused() -> None:
    drawing = a_drawing()
    for x in range(50):
        drawing.modelspace().add_line((x, 0), (x, 10))
    for whole in (written(drawing), binary(drawing)):
        for share in range(1, 40):
            assert refusal(whole[: len(whole) * share // 41]).startswith("dxf.")


@given(st.data())
@settings(max_examples=60)
def test_bytes_changed_at_random_are_read_or_refused_never_a_crash(data: st.DataObject) -> None:
    drawing = a_drawing()
    drawing.modelspace().add_lwpolyline([(0, 0, 1), (10, 0, 0), (10, 10, 0)], format="xyb")
    drawing.modelspace().add_spline([(0, 0), (5, 9), (9, 0)])
    body = bytearray(written(drawing) if data.draw(st.booleans()) else binary(drawing))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    assert outcome(bytes(body)).startswith(("read", "dxf."))


# --- what is not cut ------------------------------------------------------------------------------


def test_what_cannot_be_cut_is_named() -> None:
    drawing = a_drawing()
    space = drawing.modelspace()
    space.add_line((0, 0), (10, 0))
    space.add_text("Bonjour")
    space.add_mtext("le monde")
    space.add_linear_dim(base=(0, 5), p1=(0, 0), p2=(10, 0)).render()
    space.add_3dface([(0, 0, 0), (1, 0, 0), (1, 1, 1)])
    space.add_point((5, 5))
    space.add_image(drawing.add_image_def("photo.png", (10, 10)), (0, 0), (5, 5))

    design = dxf.read(written(drawing))

    assert total(design.shapes) == pytest.approx(10)
    assert {warning.code: warning.params["count"] for warning in design.warnings} == {
        "dxf.text": 2,
        "dxf.dimensions": 1,
        "dxf.solids": 1,
        "dxf.unsupported": 1,
        "dxf.images": 1,
    }


def test_a_hatch_is_a_fill_with_its_holes() -> None:
    drawing = a_drawing()
    hatch = drawing.modelspace().add_hatch(color=1)
    hatch.paths.add_polyline_path([(0, 0), (40, 0), (40, 40), (0, 40)], is_closed=True)
    hatch.paths.add_edge_path().add_arc((20, 20), radius=10, start_angle=0, end_angle=360)

    (shape,) = dxf.read(written(drawing)).shapes

    assert (shape.fill, shape.stroke, shape.even_odd) == ("#ff0000", "", True)
    assert [line.closed for line in shape.lines] == [True, True]
    assert total((shape,)) == pytest.approx(160 + 20 * pi, rel=1e-3)


# --- forms of the file ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["R12", "R2000", "R2004", "R2007", "R2010", "R2013", "R2018"])
def test_every_version_in_text_and_binary_gives_the_same(version: str) -> None:
    drawing = a_drawing(version)
    drawing.layers.add("Découpe", color=1)
    drawing.modelspace().add_circle((0, 0), 10, dxfattribs={"layer": "Découpe"})

    texts, bits = dxf.read(written(drawing), unit="mm"), dxf.read(binary(drawing), unit="mm")

    assert texts.shapes[0].lines[0].points == pytest.approx(bits.shapes[0].lines[0].points)
    assert texts.shapes[0].layer == "Découpe"
    assert texts.shapes[0].stroke == bits.shapes[0].stroke == "#ff0000"


@pytest.mark.parametrize(
    "data",
    [
        BARE.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + BARE.encode(),
        b"999\r\nboxes.py\r\n" + BARE.encode(),
        b"  0\n" + BARE.encode()[2:],
        BARE.rstrip().encode(),
    ],
)
def test_habits_of_other_programs_are_read(data: bytes) -> None:
    assert total(dxf.read(data).shapes) == pytest.approx(5)


def test_the_program_is_known_where_it_says_so() -> None:
    assert dxf.read(b"999\r\nDXF by Potrace\r\n" + BARE.encode()).source == "dxf by potrace"


def test_a_file_that_breaks_the_rules_is_repaired_and_said() -> None:
    drawing = a_drawing()
    drawing.modelspace().add_line((0, 0), (3, 4))
    broken = written(drawing).replace(b"\n 21\n4.0\n", b"\n 21\n4.0mm\n", 1)

    design = dxf.read(broken)

    assert codes(design) == {"dxf.repaired"}
    assert total(design.shapes) == pytest.approx(5)


def test_an_arc_as_large_as_a_country_is_refused_before_it_is_flattened() -> None:
    drawing = a_drawing()
    hatch = drawing.modelspace().add_hatch()
    hatch.paths.add_edge_path().add_arc((0, 0), radius=1e9, start_angle=0, end_angle=360)

    assert refusal(written(drawing)) == "dxf.not_finite"


def test_importing_the_reader_leaves_the_home_directory_alone(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for directory in (home, elsewhere):
        directory.mkdir()
    program = (
        "import os, slicing.vector.dxf; print(sorted(k for k in os.environ if 'XDG' in k or 'EZDXF' in k))"
    )

    said = subprocess.run(
        [sys.executable, "-c", program],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=elsewhere,
        capture_output=True,
        check=True,
        text=True,
    )

    assert said.stdout.strip() == "[]"
    assert list(home.rglob("*")) == []
    assert list(elsewhere.rglob("*")) == []
