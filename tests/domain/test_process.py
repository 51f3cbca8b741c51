"""The member's choices: their ranges, and what a part measures once it is scaled and turned."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.machine import holds
from orchestrator.domain.process import RANGES, CutProcess, Process, Turn, cut_faults, out_of_range, placed


@pytest.mark.parametrize("name", sorted(RANGES))
def test_a_number_outside_its_range_is_no_process_and_its_fault_says_the_range(name: str) -> None:
    least, most = RANGES[name]
    for wrong in (least - 1, most + 1):
        with pytest.raises(ValueError, match=name):
            Process(**{name: wrong})  # type: ignore[arg-type]
    (fault,) = out_of_range({**{n: low for n, (low, _) in RANGES.items()}, name: most + 1})
    assert (fault.where, fault.seen) == (f"process.{name}", str(most + 1))
    assert str(most) in fault.remedy


def test_every_number_out_of_range_is_told_at_once() -> None:
    assert len(out_of_range(dict.fromkeys(RANGES, -1))) == len(RANGES)


@pytest.mark.parametrize(
    ("chosen", "wrong"),
    [
        ({}, []),
        ({"tabs": 20, "scale_percent": 10_000, "rotation_degrees": 270}, []),
        ({"tabs": 21}, ["tabs"]),
        ({"rotation_degrees": 45}, ["rotation_degrees"]),
        ({"rotation_degrees": 271}, ["rotation_degrees"]),
        ({"tabs": -1, "rotation_degrees": 45}, ["tabs", "rotation_degrees"]),
        ({"x_mm": -0.1, "y_mm": float("nan")}, ["x_mm", "y_mm"]),
        ({"sheet_mm": (10_000, 10_000)}, []),
        ({"sheet_mm": (10_001, -1)}, ["sheet_mm.width", "sheet_mm.depth"]),
    ],
)
def test_every_choice_that_no_cut_can_have_is_told_before_there_is_a_cut(
    chosen: dict[str, Any], wrong: list[str]
) -> None:
    assert [fault.where for fault in cut_faults(vars(CutProcess()) | chosen)] == [
        f"process.{name}" for name in wrong
    ]
    if wrong:
        with pytest.raises(ValueError, match=wrong[0]):
            CutProcess(**chosen)
    else:
        CutProcess(**chosen)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (Turn.AS_DRAWN, (10, 20, 30)),
        (Turn.X180, (10, 20, 30)),
        (Turn.X90, (10, 30, 20)),
        (Turn.X270, (10, 30, 20)),
        (Turn.Y90, (30, 20, 10)),
        (Turn.Y270, (30, 20, 10)),
    ],
)
def test_a_turned_part_measures_otherwise(turn: Turn, expected: tuple[float, float, float]) -> None:
    assert placed((10, 20, 30), Process(turn=turn)) == expected


def test_a_part_drawn_in_inches_is_made_25_times_larger() -> None:
    assert placed((5, 2.5, 1), Process(scale_percent=2540)) == pytest.approx((127, 63.5, 25.4))


@pytest.mark.parametrize(
    ("part", "fits"),
    [
        ((250, 210, 210), True),
        ((210, 250, 10), True),  # turned by a quarter on the bed
        ((251, 10, 10), False),
        ((10, 251, 10), False),
        ((10, 10, 211), False),
        ((230, 230, 10), False),
    ],
)
def test_a_work_area_holds_what_lies_in_it_one_way_or_the_other(
    part: tuple[float, float, float], fits: bool
) -> None:
    assert holds((250, 210, 210), part) is fits
