"""From a drawing and a member's choice to a toolpath: what is done, in which order, where on the bed, or why not."""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicing.faults import FileRefused
from slicing.vector import plane
from slicing.vector.build import build
from slicing.vector.design import Design, Shape
from slicing.vector.scans import merged
from slicing.vector.toolpath import Scan
from tests.services import corpus_dir
from tests.slicing.vector.drawn import (
    BLACK,
    BLUE,
    CO2,
    GREEN,
    KNIFE,
    RED,
    circle,
    codes,
    contours,
    cut_mm,
    design,
    groups,
    kinds,
    line,
    made,
    picture,
    points_of,
    shape,
    square,
)  # fmt: skip

PART = design(shape(square(100, 50, 40), square(110, 60, 10)))
TRIANGLE = design(shape(line((0, 0), (60, 0), (0, 20), closed=True)))


def refusal(drawn: Design, machine: Any = CO2, **plan: Any) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        made(drawn, machine, **plan)
    return caught.value


def test_engraving_comes_first_then_marks_then_holes_then_outlines() -> None:
    drawn = design(
        shape(square(0, 0, 50), stroke=RED),
        shape(square(10, 10, 5), stroke=RED),
        shape(line((5, 5), (45, 5)), stroke=BLUE),
        shape(circle(25, 30, 6), stroke="", fill=BLACK),
    )

    toolpath = made(drawn).toolpath

    assert [kind for kind, _ in kinds(toolpath)] == ["engrave", "score", "cut"]
    hole, outline = contours(toolpath)
    assert np.ptp(hole.points) < np.ptp(outline.points)


def test_green_is_cut_before_red_of_the_same_depth() -> None:
    drawn = design(shape(square(0, 0, 10), stroke=RED), shape(square(20, 0, 10), stroke=GREEN))

    assert [key for _, key in kinds(made(drawn).toolpath)] == ["stroke:#00ff00", "stroke:#ff0000"]


def test_the_page_is_turned_over_so_that_what_is_above_on_it_is_far_on_the_bed() -> None:
    (contour,) = contours(made(TRIANGLE, kerf=False, x_mm=0, y_mm=0).toolpath)

    # On the page the right angle is at the top left; y grows away from the person on the bed.
    assert {tuple(point) for point in contour.points.round(6)} == {(0, 20), (60, 20), (0, 0)}


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, {(0, 20), (60, 20), (0, 0)}),
        (90, {(0, 0), (0, 60), (20, 0)}),
        (180, {(60, 0), (0, 0), (60, 20)}),
        (270, {(20, 60), (20, 0), (0, 60)}),
    ],
)
def test_it_is_turned_counter_clockwise(degrees: int, expected: set[tuple[float, float]]) -> None:
    (contour,) = contours(made(TRIANGLE, kerf=False, x_mm=0, y_mm=0, rotation_degrees=degrees).toolpath)

    assert {tuple(point) for point in (contour.points.round(6) + 0.0)} == expected


def test_without_a_place_it_lies_a_margin_from_the_corner_and_with_one_there() -> None:
    assert made(PART).toolpath.bounds_mm[:2] == pytest.approx((5, 5))
    assert made(PART, x_mm=33.5, y_mm=0).toolpath.bounds_mm[:2] == pytest.approx((33.5, 0))


def test_kerf_is_made_good_unless_the_drawing_or_the_member_says_no() -> None:
    def width(built: Any) -> float:
        low_x, _, high_x, _ = built.toolpath.bounds_mm
        return float(round(high_x - low_x, 6))

    already = design(*PART.shapes, kerf_applied=True)

    assert width(made(PART)) == 40.3
    assert width(made(PART, kerf=False)) == 40
    assert width(made(already)) == 40
    assert "laser.kerf_already" in codes(made(already).toolpath)


def test_scaling_scales_the_drawing_and_not_the_kerf() -> None:
    low_x, _, high_x, _ = made(PART, scale_percent=50).toolpath.bounds_mm

    assert high_x - low_x == pytest.approx(20.3)


def test_a_box_drawn_as_four_lines_is_one_closed_contour() -> None:
    corners = [(0, 0), (30, 0), (30, 20), (0, 20)]
    sides = [shape(line(corners[n], corners[(n + 1) % 4])) for n in range(4)]

    (contour,) = contours(made(design(*sides)).toolpath)

    assert contour.closed
    assert np.ptp(contour.points, axis=0) == pytest.approx([30.3, 20.3])


def test_what_is_drawn_twice_is_cut_once_unless_that_is_wanted() -> None:
    twice = design(*PART.shapes, shape(square(100, 50, 40), stroke=GREEN))

    assert cut_mm(made(twice, kerf=False).toolpath) == pytest.approx(200)
    assert cut_mm(made(twice, kerf=False, remove_duplicates=False).toolpath) == pytest.approx(360)


def test_tabs_are_left_in_the_outline_and_not_in_holes() -> None:
    hole, outline = contours(made(PART, tabs=3, tab_mm=0.8).toolpath)

    assert hole.gaps == ()
    assert [round(high - low, 6) for low, high in outline.gaps] == [0.8] * 3


def test_copies_lie_in_rows_apart_from_each_other_and_each_is_whole() -> None:
    built = made(PART, quantity=20)

    assert len(contours(built.toolpath)) == 40
    assert len({y for _, y in built.places_mm}) == 2
    (x0, _), (x1, _) = built.places_mm[:2]
    assert x1 - x0 == pytest.approx(built.size_mm[0] + 3)
    assert cut_mm(built.toolpath) == pytest.approx(20 * cut_mm(made(PART).toolpath))
    assert max(x for x, _ in built.places_mm) + built.size_mm[0] <= 600


def test_no_outline_of_any_copy_is_cut_before_a_hole() -> None:
    sizes = [
        round(float(np.ptp(c.points, axis=0).max()), 6) for c in contours(made(PART, quantity=6).toolpath)
    ]

    assert sizes == sorted(sizes)


def test_the_material_used_is_the_box_around_all_copies_with_a_margin() -> None:
    one, four = made(PART, kerf=False), made(PART, kerf=False, quantity=4, sheet_mm=[300, 200])

    assert one.use.sheet_mm2 == 50 * 50
    assert four.use.sheet_mm2 == (4 * 40 + 3 * 3 + 10) * 50
    assert (one.use.whole_mm2, four.use.whole_mm2) == (600 * 400, 300 * 200)


def test_letters_and_areas_are_engraved_where_they_lie() -> None:
    drawn = design(shape(square(0, 0, 50)), shape(square(10, 10, 20), stroke="", fill=BLACK))

    toolpath = made(drawn, kerf=False, x_mm=0, y_mm=0).toolpath

    scans = toolpath.operations[0].scans
    assert len(scans) == 200
    assert all(scan.spans[0].tolist() == pytest.approx([10, 30, 1]) for scan in scans)
    assert (scans[0].y, scans[-1].y) == pytest.approx((20.05, 39.95))


def test_areas_that_overlap_are_engraved_once_and_holes_not_at_all() -> None:
    ring = shape(circle(20, 20, 10), circle(20, 20, 5), stroke="", fill=BLACK, even_odd=True)
    drawn = design(ring, *(shape(square(40 + 5 * n, 10, 10), stroke="", fill=BLACK) for n in range(3)))

    scans = made(drawn).toolpath.operations[0].scans

    spans = np.vstack([scan.spans for scan in scans])
    area = float((spans[:, 1] - spans[:, 0]).sum()) * 0.1
    assert area == pytest.approx(np.pi * (100 - 25) + 200, rel=0.01)


def test_areas_turned_either_way_make_no_hole_in_each_other() -> None:
    backwards = line((0, 0), (0, 10), (10, 10), (10, 0), closed=True)
    drawn = design(shape(square(0, 0, 10), stroke="", fill=BLACK), shape(backwards, stroke="", fill=BLACK))

    assert len(made(drawn).toolpath.operations[0].scans) == 100


def test_a_picture_is_engraved_where_it_lies() -> None:
    drawn = design(shape(square(0, 0, 50)), pictures=(picture(10, 10, 20),))

    low = made(drawn, kerf=False, x_mm=0, y_mm=0).toolpath.operations[0].scans[0]

    assert low.y == pytest.approx(20.05)
    assert low.spans[0] == pytest.approx([10, 30, 1], abs=0.11)


def test_lines_of_pictures_that_overlap_burn_with_the_stronger_of_both() -> None:
    weak, strong = np.array([[0, 10, 0.2]]), np.array([[4, 6, 0.8], [9, 12, 0.1]])

    (scan,) = merged([[Scan(y=1.0, spans=weak)], [Scan(y=1.0, spans=strong)]])

    assert scan.spans.tolist() == [[0, 4, 0.2], [4, 6, 0.8], [6, 10, 0.2], [10, 12, 0.1]]


def test_engraved_lines_that_do_not_close_are_told() -> None:
    drawn = design(shape(square(0, 0, 50)), shape(line((5, 5), (9, 9)), stroke=BLUE))

    toolpath = made(drawn, operations={"stroke:#0000ff": "engrave"}).toolpath

    assert "laser.open_areas" in codes(toolpath)
    assert [kind for kind, _ in kinds(toolpath)] == ["cut"]


def test_the_same_choice_gives_the_same_toolpath_and_another_another() -> None:
    assert made(PART).toolpath.sha256 == made(PART).toolpath.sha256
    assert made(PART).toolpath.sha256 != made(PART, x_mm=6).toolpath.sha256


@pytest.mark.parametrize(
    ("plan", "expected", "said"),
    [
        ({"scale_percent": 2000}, "laser.too_large", "At 999 % it fits"),
        ({"scale_percent": 0}, "laser.plan_value", "1 … 2000"),
        ({"x_mm": 570}, "laser.misplaced", "at 559.7, 359.7 mm at most"),
        ({"quantity": 118}, "laser.too_many", "117 do"),
        ({"quantity": 5, "sheet_mm": [100, 100]}, "laser.too_many", "4 do"),
        ({"sheet_mm": [30, 30]}, "laser.too_large", "room for 30.0 x 30.0"),
        ({"material": "pvc"}, "laser.material_forbidden", "hydrogen chloride"),
        ({"material": "unobtainium"}, "laser.material_unknown", "birch-ply-3"),
        ({"operations": {"stroke:#00ff00": "cut"}}, "laser.group_unknown", "stroke:#ff0000"),
        ({"operations": {"stroke:#ff0000": "ignore"}}, "laser.nothing", ""),
        ({"operations": {"stroke:#ff0000": "weld"}}, "laser.plan_value", "cut, score, engrave, ignore"),
        ({"operations": ["cut"]}, "laser.plan_value", ""),
        ({"quantity": 0}, "laser.plan_value", "1 … 500"),
        ({"quantity": True}, "laser.plan_value", "1 … 500"),
        ({"quantity": "2"}, "laser.plan_value", "'2'"),
        ({"kerf": 1}, "laser.plan_value", "true, false"),
        ({"tabs": 99}, "laser.plan_value", "0 … 20"),
        ({"tab_mm": float("nan")}, "laser.plan_value", "0.1 … 10 mm"),
        ({"x_mm": float("inf")}, "laser.plan_value", "mm"),
        ({"y_mm": -1}, "laser.plan_value", "0 … 10000 mm"),
        ({"rotation_degrees": 45}, "laser.plan_value", "0, 90, 180, 270"),
        ({"sheet_mm": [100]}, "laser.plan_value", "[600, 400]"),
        ({"sheet_mm": [100, 0]}, "laser.plan_value", "1 … 10000 mm"),
        ({"material": 7}, "laser.plan_value", "7"),
        ({"speed": 7}, "laser.plan_unknown", "speed"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_with_its_rule(
    plan: dict[str, Any], expected: str, said: str
) -> None:
    fault = refusal(PART, **plan)

    assert fault.code == expected
    assert said in fault.message_en
    assert fault.remedy
    assert fault.remedy_fr
    assert json.loads(json.dumps(fault.to_json()))


def test_a_choice_without_a_material_is_refused() -> None:
    with pytest.raises(FileRefused) as caught:
        build(PART, {}, CO2)

    assert caught.value.code == "laser.plan_missing"


def test_what_is_too_long_for_the_bed_but_not_when_turned_is_told_so() -> None:
    long = design(shape(line((0, 0), (10, 0), (10, 500), (0, 500), closed=True)))

    assert refusal(long).code == "laser.too_large.turn"
    assert made(long, rotation_degrees=90).size_mm == pytest.approx((500.3, 10.3))


def test_more_points_than_can_be_planned_are_refused_at_once() -> None:
    fine = design(shape(circle(10, 10, 5, 20_000)))

    assert refusal(fine, quantity=200).code == "laser.too_complex"


def test_a_drawing_of_dots_leaves_nothing_to_do() -> None:
    assert refusal(design(shape(square(5, 5, 0.001)))).code == "laser.nothing"


def test_vinyl_is_cut_along_its_lines_without_kerf() -> None:
    toolpath = made(design(shape(square(0, 0, 30))), KNIFE).toolpath

    (operation,) = toolpath.operations
    assert (operation.kind, operation.settings.power_permille) == ("cut", 0)


shapes = st.lists(
    st.tuples(
        st.sampled_from([RED, BLUE, GREEN, BLACK]),
        st.integers(0, 9),
        st.integers(0, 9),
        st.integers(1, 6),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(drawn=shapes, quantity=st.integers(1, 3), turn=st.sampled_from([0, 90, 180, 270]))
def test_whatever_is_drawn_stays_on_the_bed_and_keeps_its_length(
    drawn: list[tuple[str, int, int, int, bool]], quantity: int, turn: int
) -> None:
    some: list[Shape] = [
        shape(square(12 * x, 12 * y, 10 * side) if closed else line((12 * x, 12 * y), (12 * x + 10 * side, 12 * y)),
              stroke=colour)
        for colour, x, y, side, closed in drawn
    ]  # fmt: skip
    every = {group.key: "cut" for group in groups(design(*some))}
    choice: dict[str, Any] = {
        "operations": every,
        "quantity": quantity,
        "rotation_degrees": turn,
        "kerf": False,
    }

    toolpath = made(design(*some), remove_duplicates=False, **choice).toolpath
    once = made(design(*some), **choice).toolpath

    length = sum(plane.length(each.points, each.closed) for one in some for each in one.lines)
    assert cut_mm(toolpath) == pytest.approx(quantity * length)
    assert cut_mm(once) <= quantity * length + 1e-6
    points = points_of(once)
    assert (points >= -1e-9).all()
    assert (points <= np.array(CO2.bed_mm) + 1e-9).all()


def test_the_boxes_of_the_corpus_are_built_in_a_moment() -> None:
    """Their figures are in the report; the bound leaves room for a slow machine."""
    from slicing.vector import svg

    files: list[Path] = sorted((corpus_dir() / "svg").glob("boxes_*.svg"))
    assert len(files) > 20
    for file in files:
        drawn = svg.read(file.read_bytes())
        wide = {"x_mm": 0, "y_mm": 0, "sheet_mm": [5000, 5000]}
        machine = type(CO2)(name="wide", bed_mm=(5000.0, 5000.0), language="grbl", source="co2")
        begin = process_time()
        toolpath = made(drawn, machine, **wide).toolpath
        assert process_time() - begin < 3.0, file.name
        assert contours(toolpath), file.name
