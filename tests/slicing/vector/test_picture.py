"""Pictures of drawings: in their own colours, in their place, small whatever was drawn, and free of foreign words."""

from __future__ import annotations

import io
import time
from math import tau

import numpy as np
import pytest
from lxml import etree  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from slicing.vector import picture, svg
from slicing.vector.design import Design, FloatArray, Line, Picture, Shape

SVG_BYTES_MAX = 1_600_000


def a_line(*points: tuple[float, float], closed: bool = False) -> Line:
    return Line(points=np.array(points, dtype=np.float64), closed=closed)


def a_design(
    *shapes: Shape, size: tuple[float, float] = (100.0, 60.0), pictures: tuple[Picture, ...] = ()
) -> Design:
    return Design(kind="svg", size_mm=size, shapes=shapes, pictures=pictures)


def pixels(design: Design, size_px: int = 200) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(picture.png(design, size_px)))
    assert image.size == (size_px, size_px)
    return np.asarray(image.convert("RGB"))


RED_BOX = Shape(lines=(a_line((0, 0), (80, 0), (80, 80), (0, 80), closed=True),), stroke="#ff0000")


def test_a_line_is_drawn_in_its_own_colour_on_white_with_a_margin() -> None:
    seen = pixels(a_design(RED_BOX)).astype(int)

    red = (seen[:, :, 0] > 200) & (seen[:, :, 1] < 120)
    rows, columns = np.nonzero(red)
    assert seen[0, 0].tolist() == seen[100, 100].tolist() == [255, 255, 255]
    assert 5 <= rows.min() <= 15
    assert 5 <= columns.min() <= 15
    assert 185 <= rows.max() <= 195


def a_ring(even_odd: bool) -> Shape:
    outline = a_line((0, 0), (80, 0), (80, 80), (0, 80), closed=True)
    hole = a_line((20, 20), (20, 60), (60, 60), (60, 20), closed=True)
    return Shape(lines=(outline, hole), fill="#000000", even_odd=even_odd)


@pytest.mark.parametrize("even_odd", [True, False])
def test_an_area_is_faint_and_its_hole_is_white(even_odd: bool) -> None:
    seen = pixels(a_design(a_ring(even_odd)))

    assert seen[100, 30].tolist() == [191, 191, 191]
    assert seen[100, 100].tolist() == [255, 255, 255]


def test_a_curve_finer_than_the_pixels_is_still_a_curve() -> None:
    angles = np.linspace(0, tau, 20_001)[:-1]
    circle = Shape(
        lines=(Line(points=np.column_stack([np.cos(angles), np.sin(angles)]), closed=True),), stroke="#000000"
    )
    seen = pixels(a_design(circle))

    drawn = np.argwhere(seen[:, :, 0] < 128)
    away = np.hypot(*(drawn - 99.5).T)
    assert len(drawn) > 300
    assert np.ptp(away) < 3


def test_a_raster_image_lies_where_it_lies() -> None:
    black = np.zeros((4, 8), dtype=np.uint8)
    placed = Picture(grey=black, to_page=(5.0, 0.0, 0.0, 5.0, 40.0, 0.0))
    seen = pixels(a_design(RED_BOX, pictures=(placed,)))

    assert seen[30, 150].tolist() == [0, 0, 0]
    assert seen[150, 50].tolist() == [255, 255, 255]


def many_lines(count: int, points: int) -> tuple[Shape, ...]:
    angles = np.linspace(0, tau, points)
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 500, (count, 2))
    wave = np.column_stack([np.cos(angles), np.sin(angles)]) * rng.uniform(0.5, 5, (count, 1, 1))
    rings: FloatArray = places[:, None, :] + wave + rng.normal(0, 0.05, (count, points, 2))
    return tuple(Shape(lines=(Line(points=ring, closed=True),), stroke="#0000ff") for ring in rings)


@pytest.mark.parametrize(("count", "points"), [(1, 300_000), (3_000, 100), (100_000, 3), (20, 20_000)])
def test_whatever_was_drawn_the_pages_picture_stays_small(count: int, points: int) -> None:
    design = a_design(*many_lines(count, points), size=(500, 500))

    began = time.perf_counter()
    body = picture.svg(design, {})
    png = picture.png(design, 300)

    assert 1_000 < len(body) <= SVG_BYTES_MAX
    assert len(png) < 300_000
    assert time.perf_counter() - began < 15


def test_the_pages_picture_has_a_group_a_row_and_says_what_becomes_of_it() -> None:
    scored = Shape(lines=(a_line((0, 0), (10, 10)),), stroke="#0000ff", layer='Gra"vure <b>')
    design = a_design(RED_BOX, scored, a_ring(True))

    root = etree.fromstring(picture.svg(design, {"stroke:#ff0000": "cut"}))

    groups = {g.get("data-key"): g.get("data-kind") for g in root.findall("{*}g")}
    assert groups == {
        "stroke:#ff0000": "cut",
        'stroke:#0000ff@Gra"vure <b>': "ignore",
        "fill:#000000": "ignore",
    }
    assert [float(n) for n in root.get("viewBox").split()] == pytest.approx([0, 0, 80, 80])


def test_the_pages_picture_is_read_as_the_drawing_that_it_shows() -> None:
    design = svg.read(picture.svg(a_design(RED_BOX), {"stroke:#ff0000": "cut"}))

    assert design.size_mm == pytest.approx((80, 80), abs=0.02)
    assert design.shapes[0].stroke == "#ff0000"


def test_nothing_but_lines_and_colours_gets_into_the_pages_picture() -> None:
    hostile = Shape(lines=(a_line((0, 0), (1, 1)),), stroke="#00ff00", layer='"/><script>alert(1)</script>')

    root = etree.fromstring(picture.svg(a_design(hostile), {}))

    assert {etree.QName(element).localname for element in root.iter()} == {"svg", "g", "path"}


def test_an_empty_drawing_has_pictures_too() -> None:
    assert pixels(a_design()).min() == 255
    assert etree.fromstring(picture.svg(a_design(), {})).tag.endswith("svg")
