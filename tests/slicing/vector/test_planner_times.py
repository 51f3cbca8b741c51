"""Our planner against a GRBL that is executed step by step, and against the times of a firmware recorded elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicing.vector import planner
from slicing.vector.machines import CutMachine
from tests.slicing.vector.cutting import (
    Row,
    a_box,
    a_machine,
    circle_points,
    circles,
    dots,
    lines_of,
    moves_of,
    raster,
)
from tests.slicing.vector.grblsim import Axes, Line, Machine

FEED = 50.0  # F3000


def judged(machine: CutMachine, lines: Sequence[Line]) -> float:
    """Seconds of the step-level GRBL."""
    axes = Axes(
        steps=machine.steps_per_mm,
        rate=(60 * machine.speed_max_mm_s[0], 60 * machine.speed_max_mm_s[1]),
        acceleration=machine.acceleration_mm_s2,
        deviation=machine.junction_deviation_mm,
    )
    return Machine(axes).run(lines)


@pytest.mark.parametrize("acceleration", [500.0, 3000.0])
@pytest.mark.parametrize("drawing", [circles, raster, a_box, dots])
def test_the_planner_takes_as_long_as_a_grbl_executed_step_by_step(
    drawing: Callable[[], list[Row]], acceleration: float
) -> None:
    machine = a_machine(acceleration)
    way = moves_of(drawing())

    ours = planner.seconds(way, machine).sum()

    assert ours == pytest.approx(judged(machine, lines_of(way)), rel=0.003)


@pytest.mark.parametrize(
    ("drawing", "acceleration", "firmware_seconds"),
    [
        (raster, 3000.0, 29.51),
        (circles, 500.0, 11.01),
        (circles, 3000.0, 8.29),
    ],
)
def test_a_drawing_that_a_firmware_was_timed_with_takes_as_long(
    drawing: Callable[[], list[Row]], acceleration: float, firmware_seconds: float
) -> None:
    way = moves_of(drawing())

    assert planner.seconds(way, a_machine(acceleration)).sum() == pytest.approx(firmware_seconds, rel=0.03)


places = st.tuples(st.floats(0, 60), st.floats(0, 60), st.sampled_from([None, 5.0, 40.0, 180.0]))


@given(rows=st.lists(places, min_size=1, max_size=60), seed=st.integers(0, 99))
def test_any_way_takes_as_long_as_the_judge_says(rows: list[Row], seed: int) -> None:
    machine = a_machine(1200.0, speed_max_mm_s=(200.0, 120.0), acceleration_mm_s2=(1200.0, 700.0))
    way = moves_of(rows)
    way.halt[:] = np.random.default_rng(seed).random(len(rows)) < 0.1

    ours = float(planner.seconds(way, machine).sum())

    assert ours == pytest.approx(judged(machine, lines_of(way)), rel=0.01, abs=0.002)


def test_a_square_takes_what_is_worked_out_by_hand() -> None:
    """Four sides of 100 mm at 100 mm/s, corners passed at v^2 = a_j JD s / (1 - s): 10.1 mm/s."""
    machine = a_machine(3000.0)
    way = moves_of([(100.0, 0.0, 100.0), (100.0, 100.0, 100.0), (0.0, 100.0, 100.0), (0.0, 0.0, 100.0)])

    took = planner.seconds(way, machine)

    half = 0.5**0.5
    corner = (3000 / half * 0.01 * half / (1 - half)) ** 0.5
    ramps = [(100 - v) / 3000 - (100**2 - v**2) / 6000 / 100 for v in (0, corner)]
    assert took == pytest.approx([1 + sum(ramps), 1 + 2 * ramps[1], 1 + 2 * ramps[1], 1 + sum(ramps)])


def test_a_halt_before_a_move_costs_its_brake_and_its_start() -> None:
    straight = moves_of([(50.0, 0.0, 100.0), (100.0, 0.0, 100.0)])
    halted = moves_of([(50.0, 0.0, 100.0), (100.0, 0.0, 100.0)])
    halted.halt[1] = True

    more = (
        planner.seconds(halted, a_machine(1000.0)).sum() - planner.seconds(straight, a_machine(1000.0)).sum()
    )

    assert more == pytest.approx(0.1)  # v / a, half of it on each side


def test_a_halt_before_a_move_shorter_than_a_step_is_kept_for_the_next() -> None:
    way = moves_of([(50.0, 0.0, 100.0), (50.001, 0.0, 100.0), (100.0, 0.0, 100.0)])
    way.halt[1] = True

    took = planner.seconds(way, a_machine(1000.0))

    assert took[1] == 0
    assert took[0] == pytest.approx(0.6)


def test_power_that_changes_within_a_line_costs_nothing() -> None:
    whole = moves_of([(70.0, 0.0, 100.0)])
    pieces = moves_of([(x, 0.0, 100.0) for x in np.linspace(1, 70, 24).tolist()])

    machine = a_machine()

    assert planner.seconds(pieces, machine).sum() == pytest.approx(planner.seconds(whole, machine).sum())


def test_without_laser_mode_every_change_of_power_is_a_halt() -> None:
    """351.6 s instead of 90, the reference measured for a raster: $32 is worth being read."""
    machine = a_machine(3000.0)
    way = moves_of([(0.5 * k, 0.0, 100.0) for k in range(1, 141)])
    way.power[:] = 500 + np.arange(140) % 2

    took = planner.seconds(way, machine, laser_mode=False)

    way.halt[:] = True
    assert took.sum() == pytest.approx(judged(machine, lines_of(way)), rel=0.003)
    assert took.sum() > 4 * planner.seconds(moves_of([(70.0, 0.0, 100.0)]), machine).sum()


def test_a_small_buffer_slows_many_short_moves() -> None:
    way, machine = moves_of(dots()), a_machine(3000.0)

    assert (
        planner.seconds(way, machine).sum()
        > 1.1 * planner.seconds(way, machine, ahead=planner.AHEAD_ALL).sum()
    )


def test_travel_has_a_speed_of_its_own_where_the_machine_says_so() -> None:
    way = moves_of([(150.0, 0.0, None)])

    assert planner.seconds(way, a_machine(travel_mm_s=50.0)).sum() == pytest.approx(3.0, rel=0.01)


def test_nothing_to_do_takes_no_time() -> None:
    assert planner.seconds(moves_of([]), a_machine()).sum() == 0
    assert planner.seconds(moves_of([(0.0, 0.0, 10.0)]), a_machine()).sum() == 0


def test_thirty_thousand_moves_are_planned_in_an_eighth_of_a_second() -> None:
    points = np.tile(circle_points(100, 100, 40, 314), (100, 1))
    way = moves_of([(x, y, FEED) for x, y in points.tolist()])

    took = []
    for _ in range(5):
        began = time.process_time()
        planner.seconds(way, a_machine())
        took.append(time.process_time() - began)

    assert len(way) == 31_400
    assert min(took) < 0.15
