"""A better way to lie: told only where it saves enough, and never one that does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from slicing import orientation
from slicing.orientation import OrientationAdvice
from slicing.placement import Placement
from slicing.profile import PrintProfile
from tests.slicing.shapes import Mesh, a_ball, a_box, moved

MK3S = PrintProfile.resolve("mk3s")


def advised(shape: Mesh, placement: Placement | None = None) -> OrientationAdvice | None:
    return orientation.advise(shape, MK3S.keys, placement or Placement())


def a_hook() -> Mesh:
    """Stands on its edge with an arm in the air; lying on its side nothing hangs."""
    return np.concatenate(
        [a_box(60, 12, 8), moved(a_box(8, 12, 60), 0, 0, 8), moved(a_box(60, 12, 8), 0, 0, 68)]
    )


def test_a_hook_is_better_laid_on_its_side_where_it_needs_no_supports() -> None:
    advice = advised(a_hook())
    assert advice is not None
    assert advice.then.turn in {"x90", "x270"}
    assert (advice.now.supports, advice.then.supports) == (True, False)
    assert advice.now.seconds - advice.then.seconds >= 300
    assert advice.now.support_milligrams > 1000
    assert advice.then.support_milligrams == 0
    assert "needs no supports" in advice.text_en
    assert "se passe de supports" in advice.text_fr


def test_where_it_lies_well_already_nothing_is_said() -> None:
    hook = advised(a_hook())
    assert hook is not None
    assert advised(a_hook(), Placement(turn=hook.then.turn)) is None


@pytest.mark.parametrize("shape", [a_box(), a_box(100, 60, 3), a_ball(16)], ids=["cube", "plate", "ball"])
def test_nothing_is_said_of_shapes_that_no_turn_helps(shape: Mesh) -> None:
    assert advised(shape) is None


def test_a_way_that_does_not_fit_the_machine_is_never_advised() -> None:
    plank = a_box(10, 200, 205)  # lying flat it would be quicker, and too wide for the bed with its skirt
    advice = advised(plank)
    if advice is not None:
        x, y, z = np.ptp(Placement(turn=advice.then.turn).of(plank).reshape(-1, 3), axis=0)
        assert z <= 210
        assert max(x, y) <= 250
        assert min(x, y) <= 210
    assert advised(a_box(10, 240, 240)) is None, "as it stands it fits no bed, so there is nothing to compare"


def test_the_scale_a_member_chose_is_kept() -> None:
    doubled = advised(a_hook(), Placement(scale_percent=150))
    single = advised(a_hook())
    assert doubled is not None
    assert single is not None
    assert doubled.now.seconds > 1.5 * single.now.seconds
