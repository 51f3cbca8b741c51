"""Scaling and turning triangles: volumes stay, sizes follow the domain's own rule."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.domain.process import Process, Turn, placed
from slicing.mesh import analyse
from slicing.placement import TURNS, Placement
from tests.slicing.shapes import a_box


def test_every_turn_that_a_member_may_choose_can_be_made() -> None:
    assert set(TURNS) == {turn.value for turn in Turn}


@pytest.mark.parametrize("turn", Turn)
def test_a_turn_keeps_the_volume_and_measures_what_the_domain_says(turn: Turn) -> None:
    box = a_box(10, 20, 30)
    loaded = analyse(Placement(scale_percent=150, turn=turn.value).of(box), "stl", 684)
    expected = placed((10, 20, 30), Process(scale_percent=150, turn=turn))
    assert loaded.analysis.size_mm == pytest.approx(expected)
    assert loaded.analysis.volume_mm3 == pytest.approx(6000 * 1.5**3)
    assert not loaded.analysis.warnings  # a rotation never turns a surface inside out


def test_on_its_front_the_front_lies_on_the_bed() -> None:
    front = np.array([[[0.0, -5, 0], [1, -5, 0], [0, -5, 1]]])  # y is away from who stands before it
    lying = Placement(turn="x90").of(front)
    assert lying[:, :, 2] == pytest.approx(-5)


def test_on_its_right_side_the_right_side_lies_on_the_bed() -> None:
    right = np.array([[[5.0, 0, 0], [5, 1, 0], [5, 0, 1]]])
    lying = Placement(turn="y90").of(right)
    assert lying[:, :, 2] == pytest.approx(-5)


def test_what_stays_as_drawn_is_not_copied() -> None:
    box = a_box(1, 1, 1)
    assert Placement().of(box) is box
