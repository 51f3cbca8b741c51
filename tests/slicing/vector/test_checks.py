"""Warnings about cuts: each one's drawing, its figures, its place, and the drawings that must not raise it."""

from __future__ import annotations

import pytest

from slicing.results import MeshWarning
from slicing.vector.design import Shape
from tests.slicing.vector.drawn import (
    BLUE,
    CO2,
    KNIFE,
    RED,
    circle,
    codes,
    design,
    line,
    made,
    params,
    shape,
    square,
)  # fmt: skip

PART = square(0, 0, 100)
SLIT = line((20, 20), (80, 20))
FLAP = line((20, 20), (20, 60), (60, 60), (60, 20))
ALMOST = line((200, 0), (260, 0), (260, 60), (200, 60), (200, 0.4))


def only(code: str, drawn: list[Shape]) -> MeshWarning:
    return next(w for w in made(design(*drawn), kerf=False).toolpath.warnings if w.code == code)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ([shape(PART)], set()),
        ([shape(PART), shape(SLIT), shape(FLAP)], set()),  # a slit or a flap in a part is meant
        ([shape(PART), shape(line((0, 50), (100, 50)))], set()),  # cuts the part in two
        ([shape(PART), shape(line((200, 0), (300, 0)))], {"laser.open"}),
        ([shape(ALMOST)], {"laser.open_gap"}),
        ([shape(PART), shape(square(200, 0, 3))], {"laser.small_parts"}),
        ([shape(PART), shape(square(20, 20, 3))], set()),  # what falls out of a hole is scrap
        ([shape(PART), shape(line((20, 0.2), (80, 0.2), (80, 50), (20, 50), closed=True))], {"laser.thin"}),
        ([shape(PART), shape(line((20, 2), (80, 2), (80, 50), (20, 50), closed=True))], set()),
        ([shape(PART), shape(PART)], {"laser.double_cut_removed"}),
        ([shape(PART), shape(line((0, 0), (100, 100)), stroke="#00ffff")], {"laser.left_out"}),
        ([shape(PART), shape(PART, stroke="#00ffff", from_text=True)], set()),  # marked, as letters are
        ([shape(PART, PART), shape(circle(50, 50, 9), from_text=True)],
         {"laser.double_cut_removed", "laser.letters_not_cut"}),
    ],
)  # fmt: skip
def test_each_fault_is_told_and_no_other(drawn: list[Shape], expected: set[str]) -> None:
    assert codes(made(design(*drawn), kerf=False).toolpath) == expected


def test_double_cuts_are_a_question_where_they_are_not_removed() -> None:
    toolpath = made(design(shape(PART), shape(PART)), remove_duplicates=False).toolpath

    found = next(w for w in toolpath.warnings if w.code == "laser.double_cut")
    assert found.severity == "question"
    assert (found.params["count"], found.params["length_mm"]) == (1, 400.0)


def test_a_place_is_where_the_fault_is_in_the_drawing() -> None:
    assert only("laser.open_gap", [shape(ALMOST)]).place == ((200.0, 0.4, 0.0),)


def test_a_place_is_in_the_drawing_however_it_lies_on_the_bed() -> None:
    toolpath = made(
        design(shape(PART), shape(square(200, 0, 3))),
        scale_percent=50,
        rotation_degrees=90,
        x_mm=120,
        y_mm=20,
    ).toolpath

    (found,) = (w for w in toolpath.warnings if w.code == "laser.small_parts")
    assert found.place == ((201.5, 1.5, 0.0),)
    assert found.params["size_mm"] == 1.5


def test_the_gap_is_told_in_mm() -> None:
    assert only("laser.open_gap", [shape(ALMOST)]).params["gap_mm"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("plan", "told"),
    [({"material": "card-3"}, True), ({"material": "mdf-3"}, False)],
)
def test_card_is_watched(plan: dict[str, str], told: bool) -> None:
    assert ("laser.flare" in codes(made(design(shape(PART)), CO2, **plan).toolpath)) is told


def test_settings_that_nobody_tried_here_are_said_to_be_so() -> None:
    assert params(made(design(shape(PART))).toolpath, "laser.untested")["source"].startswith("Protolab")


def test_letters_among_cuts_are_only_marked_unless_somebody_asks() -> None:
    drawn = design(shape(PART), shape(circle(50, 50, 9), from_text=True))

    unasked, asked = made(drawn), made(drawn, operations={"stroke:#ff0000": "cut"})

    assert [operation.kind for operation in unasked.toolpath.operations] == ["score", "cut"]
    assert [operation.kind for operation in asked.toolpath.operations] == ["cut"]
    assert "laser.letters_not_cut" not in codes(asked.toolpath)


def test_what_nobody_has_settings_for_is_left_out_and_told() -> None:
    drawn = design(shape(PART), shape(square(20, 20, 20), stroke="", fill="#000000"))

    toolpath = made(drawn, material="card-3").toolpath

    assert [operation.kind for operation in toolpath.operations] == ["cut"]
    assert "laser.no_settings_for" in codes(toolpath)


def test_vinyl_has_no_kerf_and_no_small_print() -> None:
    toolpath = made(design(shape(PART, stroke=BLUE), shape(square(200, 0, 20), stroke=RED)), KNIFE).toolpath

    assert codes(toolpath) == set()
