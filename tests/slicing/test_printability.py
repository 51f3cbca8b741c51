"""What may go wrong, on shapes made to have just that one fault; and silence on shapes that print well."""

from __future__ import annotations

import re

import numpy as np
import pytest

from slicing import mesh, messages, printability
from slicing.placement import Placement
from slicing.profile import PrintProfile
from slicing.results import MeshWarning
from tests.slicing.shapes import Mesh, a_ball, a_box, corpus, moved

MK3S = PrintProfile.resolve("mk3s")
WITH_SUPPORTS = PrintProfile.resolve("mk3s", supports=True)


def codes(shape: Mesh, profile: PrintProfile = MK3S) -> list[str]:
    return [found.code for found in printability.check(shape, profile.keys)]


def the(code: str, shape: Mesh, profile: PrintProfile = MK3S) -> MeshWarning:
    (found,) = [w for w in printability.check(shape, profile.keys) if w.code == code]
    return found


def together(*shapes: Mesh) -> Mesh:
    return np.concatenate(shapes)


def a_table(span: float, leg: float = 8, height: float = 20) -> Mesh:
    """A plate on two legs."""
    plate = moved(a_box(span + 2 * leg, 20, 4), 0, 0, height)
    return together(a_box(leg, 20, height), moved(a_box(leg, 20, height), span + leg, 0, 0), plate)


def a_bracket(reach: float) -> Mesh:
    """A post with an arm that reaches out into the air."""
    return together(a_box(30, 30, 20), moved(a_box(30 + reach, 30, 5), 0, 0, 20))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (a_box(), []),
        (a_box(100, 60, 3), []),
        (a_box(8, 8, 60), ["print.slender"]),
        (a_box(5, 5, 18), ["print.small_foot"]),
        (a_table(20), ["print.bridge"]),
        (a_bracket(20), ["print.overhang"]),
        (together(a_box(), moved(a_box(10, 10, 10), 40, 0, 30)), ["print.floating", "print.overhang"]),
        (together(a_box(40, 20, 10), moved(a_box(0.25, 20, 10), 19, 0, 10)), ["print.thin_walls"]),
        (a_box(251, 20, 20), ["print.too_big.rotate"]),
        (a_box(20, 20, 230), ["print.too_big.turn"]),
        (a_box(300, 300, 300), ["print.too_big"]),
    ],
    ids=lambda value: ",".join(value) or "good" if isinstance(value, list) else None,
)
def test_each_fault_is_told_and_nothing_else(shape: Mesh, expected: list[str]) -> None:
    assert codes(shape) == expected


def test_a_long_bridge_is_worth_a_warning_and_a_short_one_a_note() -> None:
    assert the("print.bridge", a_table(20)).severity == "note"
    assert the("print.bridge", a_table(45)).severity == "warning"
    assert the("print.bridge", a_table(45)).params["span_mm"] == pytest.approx(45, abs=2)


def test_with_supports_nothing_hangs() -> None:
    assert codes(a_bracket(20), WITH_SUPPORTS) == []


def test_an_overhang_says_how_much_and_where_and_what_supports_would_weigh() -> None:
    found = the("print.overhang", a_bracket(20))
    assert found.params["area_mm2"] == pytest.approx(20 * 30, rel=0.1)
    low, high = np.array(found.place[0]).reshape(2, 3)
    assert low[0] == pytest.approx(30, abs=1.5)
    assert high[0] == pytest.approx(50, abs=1.5)
    assert low[2] == pytest.approx(20, abs=0.5)
    # Columns of 20 mm under 600 mm2, a quarter full: a few grams.
    assert 1 < found.params["grams"] < 6


def test_places_are_told_in_the_coordinates_in_which_the_part_was_drawn() -> None:
    drawn = a_bracket(20)
    lying = Placement(scale_percent=50, turn="x180")
    on_its_head = Placement(scale_percent=200, turn="x180").of(drawn)  # so that, turned back, it hangs again
    found = printability.check(lying.of(on_its_head), MK3S.keys)
    (overhang,) = printability.as_drawn(found, lying)
    low, high = np.array(overhang.place[0]).reshape(2, 3)
    assert low[0] == pytest.approx(60, abs=3)  # drawn twice as large, upside down
    assert high[2] == pytest.approx(-40, abs=1)


def test_too_big_says_the_scale_the_turn_or_the_angle_that_would_fit() -> None:
    assert the("print.too_big", a_box(300, 300, 300)).params["scale_percent"] == 67
    assert the("print.too_big.turn", a_box(20, 20, 230)).params["turn"] in {"x90", "x270", "y90", "y270"}
    diagonal = the("print.too_big.rotate", a_box(251, 20, 20)).params["degrees"]
    turned = np.radians(diagonal)
    assert 251 * abs(np.cos(turned)) + 20 * abs(np.sin(turned)) <= 250
    assert 251 * abs(np.sin(turned)) + 20 * abs(np.cos(turned)) <= 210


def test_a_ball_stands_on_a_point() -> None:
    assert codes(a_ball(24)) == ["print.slender"]


def test_an_open_surface_says_where_its_holes_are() -> None:
    box = a_box()
    lid = np.flatnonzero((box[:, :, 2] == 20).all(axis=1))
    (found,) = mesh.analyse(np.delete(box, lid, axis=0), "stl", 84).analysis.warnings
    assert found.code == "mesh.not_closed"
    assert found.place == ((0, 0, 20, 20, 20, 20),)


def test_two_holes_are_two_places_the_larger_first() -> None:
    small, large = a_box(5, 5, 5), moved(a_box(30, 30, 30), 50, 0, 0)
    both = together(np.delete(small, 0, axis=0), np.delete(large, 0, axis=0))
    (found,) = [w for w in mesh.analyse(both, "stl", 84).analysis.warnings if w.code == "mesh.not_closed"]
    assert len(found.place) == 2
    assert found.place[0][0] >= 50


def test_every_warning_speaks_both_languages_and_says_what_to_do() -> None:
    for code, words in messages.WARNINGS.items():
        assert words.fr != words.en, code
        names = set(re.findall(r"{(\w+)}", words.en + words.remedy_en))
        assert names == set(re.findall(r"{(\w+)}", words.fr + words.remedy_fr)), code
        if code.startswith("print."):
            assert words.remedy_en, code
            assert words.remedy_fr, code


def test_parts_of_people_who_print_are_mostly_left_alone() -> None:
    """A false alarm costs more than a silence: Prusa's and Voron's own parts lie as they are meant to be printed."""
    for name in ("mk3_y-belt-idler", "v0_psu_cover_x1", "nop_1x1_bin", "tm_20mm-xyz-cube"):
        with (corpus() / f"{name}.stl").open("rb") as file:
            loaded = mesh.load(file.fileno(), f"{name}.stl")
        assert codes(loaded.triangles) == [], name
