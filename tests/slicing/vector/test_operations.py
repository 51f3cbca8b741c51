"""Operations: what each colour and layer becomes unasked, and how far a member may overrule it."""

from __future__ import annotations

from typing import Any

import pytest

from slicing.faults import FileRefused
from slicing.vector.design import Design, Shape
from slicing.vector.machines import CutMachine
from slicing.vector.operations import assign
from tests.slicing.vector.drawn import (
    BLACK,
    BLUE,
    CO2,
    GREEN,
    KNIFE,
    RED,
    circle,
    design,
    groups,
    line,
    picture,
    shape,
    square,
)  # fmt: skip

BOX = square(0, 0, 10)


def strokes(*colours: str) -> list[Shape]:
    return [shape(square(20 * n, 0, 10), stroke=colour) for n, colour in enumerate(colours)]


def kinds(drawn: Design, machine: CutMachine = CO2, **overrides: str) -> dict[str, str]:
    named = {key.replace("__", ":#"): kind for key, kind in overrides.items()}
    return assign(drawn, groups(drawn), named, machine)


def filled(colour: str, **changes: Any) -> Shape:
    return shape(circle(50, 50, 5), stroke="", fill=colour, **changes)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (strokes(RED, BLUE, GREEN, "#ffff00"), ["cut", "score", "cut", "ignore"]),
        (strokes("#ed1c24", "#2020e0"), ["cut", "score"]),  # nearly red, nearly blue
        (strokes(RED, BLACK), ["cut", "ignore"]),
        (strokes(BLACK), ["cut"]),
        (strokes(BLUE), ["cut"]),  # the only colour there is
        (strokes("#123456"), ["cut"]),
        (strokes(BLACK, BLUE), ["cut", "score"]),
        ([filled(BLACK)], ["engrave"]),
        ([filled("#ffffff"), *strokes(RED)], ["ignore", "cut"]),
        ([shape(BOX, stroke=RED, fill="#cccccc")], ["cut", "engrave"]),
        ([shape(BOX, stroke=RED, from_text=True), *strokes(BLACK)], ["score", "cut"]),
        ([filled(RED, from_text=True)], ["engrave"]),
        ([shape(BOX, stroke=BLACK, from_text=True)], ["score"]),
    ],
)
def test_colours_become_what_people_mean_by_them(drawn: list[Shape], expected: list[str]) -> None:
    assert list(kinds(design(*drawn)).values()) == expected


@pytest.mark.parametrize(
    ("layer", "colour", "expected"),
    [
        ("Cut", BLUE, "cut"),
        ("1 - DÉCOUPE", BLUE, "cut"),
        ("score_lines", RED, "score"),
        ("Plis", RED, "score"),
        ("Gravure", RED, "engrave"),
        ("guides", RED, "ignore"),
        ("Haircut salon", BLUE, "score"),  # a word, not a part of one
        ("Layer 1", RED, "cut"),
    ],
)
def test_a_layer_that_says_what_it_is_for_outdoes_its_colour(layer: str, colour: str, expected: str) -> None:
    drawn = design(shape(BOX, stroke=colour, layer=layer), *strokes(RED, BLUE))

    assert next(iter(kinds(drawn).values())) == expected


def test_a_drawing_of_boxes_py_has_colours_of_its_own() -> None:
    drawn = design(
        *strokes(BLACK, BLUE, GREEN, RED),
        shape(BOX, stroke="#00ffff"),
        shape(line((0, 0), (5, 5)), stroke="#00fffe"),
        filled(RED, from_text=True),
        filled(GREEN, from_text=True),
        source="boxes.py",
    )

    assert list(kinds(drawn).values()) == [
        "cut", "cut", "score", "ignore", "engrave", "score", "ignore", "engrave",
    ]  # fmt: skip


def test_a_picture_is_engraved() -> None:
    assert kinds(design(pictures=(picture(0, 0, 20),))) == {"picture": "engrave"}


def test_a_knife_cuts_all_lines_and_letters() -> None:
    drawn = design(*strokes(RED, "#ffff00"), shape(BOX, stroke=BLUE, from_text=True), filled(BLACK))

    assert list(kinds(drawn, KNIFE).values()) == ["cut", "cut", "cut", "ignore"]


def test_a_knife_cuts_around_areas_where_there_are_no_lines() -> None:
    assert kinds(design(filled(BLACK)), KNIFE) == {"fill:#000000": "cut"}


def test_a_member_overrules_one_colour_and_no_other() -> None:
    drawn = design(*strokes(RED, BLUE))

    assert kinds(drawn, stroke__0000ff="engrave") == {"stroke:#ff0000": "cut", "stroke:#0000ff": "engrave"}


@pytest.mark.parametrize(
    ("drawn", "machine", "overrides", "expected"),
    [
        (design(*strokes(RED)), CO2, {"stroke__123456": "cut"}, "laser.group_unknown"),
        (design(*strokes(RED)), CO2, {"stroke__ff0000": "weld"}, "laser.operation_unfit"),
        (design(*strokes(RED)), CO2, {"stroke__ff0000": "ignore"}, "laser.nothing"),
        (design(*strokes(RED)), KNIFE, {"stroke__ff0000": "engrave"}, "laser.operation_unfit"),
        (design(pictures=(picture(0, 0, 9),)), CO2, {"picture": "cut"}, "laser.operation_unfit"),
        (design(pictures=(picture(0, 0, 9),)), KNIFE, {}, "laser.nothing"),
        (design(filled("#ffffff")), CO2, {}, "laser.nothing"),
    ],
)
def test_what_cannot_be_done_so_is_refused(
    drawn: Design, machine: CutMachine, overrides: dict[str, str], expected: str
) -> None:
    with pytest.raises(FileRefused) as refusal:
        kinds(drawn, machine, **overrides)

    assert refusal.value.code == expected
