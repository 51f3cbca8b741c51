"""What a run used: a print by its curve, a cut by its beam and its sheet; never against the member's interest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.job import Artifact, CutArtifact
from orchestrator.domain.metering import meter, plausible
from orchestrator.domain.tariff import tariff_a
from orchestrator.domain.units import Money
from orchestrator.domain.usage import Quality, Source, Usage
from tests.builders import an_artifact

BEAM, CUT_MM, SHEET_MM2 = 300, 8_000, 124_740
CUT = an_artifact(
    filament_milligrams=0,
    filament_micrometres=0,
    curve=(),
    print_seconds=600,
    cut=CutArtifact(
        extension=".gcode",
        beam_seconds=BEAM,
        cut_millimetres=CUT_MM,
        sheet_mm2=SHEET_MM2,
        sheet_material="mdf-3",
        toolpath_sha256="0" * 64,
    ),
)
assert CUT.cut is not None
KNIFE = replace(CUT, cut=replace(CUT.cut, beam_seconds=None, sheet_material="vinyl-sticker"))
SILENT: dict[str, Any] = {
    "finished": False,
    "machine_seconds": None,
    "filament_millimetres": None,
    "position_bytes": None,
    "observed_seconds": None,
}


def metered(artifact: Artifact, **said: Any) -> Usage:
    return meter(artifact, **(SILENT | said))


def beam_of(usage: Usage) -> tuple[int | None, Source]:
    return usage.beam_seconds, usage.beam_source


@pytest.mark.parametrize(
    ("said", "beam"),
    [
        ({"finished": True}, (BEAM, Source.ARTIFACT)),
        ({"finished": True, "progress_permille": 400}, (BEAM, Source.ARTIFACT)),
        ({"finished": True, "beam_seconds": 287.4}, (287, Source.MACHINE)),
        ({"finished": True, "beam_seconds": 287.5}, (288, Source.MACHINE)),
        ({"finished": True, "beam_seconds": 0.0}, (0, Source.MACHINE)),
        ({"finished": True, "beam_seconds": -3.0}, (0, Source.MACHINE)),
        ({"progress_permille": 500}, (150, Source.ARTIFACT)),
        ({"progress_permille": 3}, (0, Source.ARTIFACT)),
        ({"progress_permille": 0}, (0, Source.ARTIFACT)),
        ({"progress_permille": 500, "beam_seconds": 140.2}, (140, Source.MACHINE)),
    ],
)
def test_the_beam_is_what_the_machine_counted_else_the_plans_for_as_far_as_it_came(
    said: dict[str, Any], beam: tuple[int, Source]
) -> None:
    assert beam_of(metered(CUT, **said)) == beam


@pytest.mark.parametrize(
    ("said", "cut_mm", "sheet_mm2"),
    [
        ({"finished": True}, CUT_MM, SHEET_MM2),
        ({"progress_permille": 250}, 2_000, SHEET_MM2),
        ({"progress_permille": 1}, 8, SHEET_MM2),
        ({"progress_permille": 0}, 0, 0),
        ({"progress_permille": 0, "beam_seconds": 0.4}, 0, 0),
        ({"progress_permille": 0, "beam_seconds": 1.0}, 0, SHEET_MM2),
    ],
)
def test_a_sheet_is_used_up_as_soon_as_the_beam_has_touched_it(
    said: dict[str, Any], cut_mm: int, sheet_mm2: int
) -> None:
    usage = metered(CUT, **said)

    assert (usage.cut_millimetres, usage.sheet_mm2, usage.sheet_material) == (cut_mm, sheet_mm2, "mdf-3")


def test_a_knife_has_no_beam_whatever_it_says() -> None:
    usage = metered(KNIFE, finished=True, beam_seconds=12.0)

    assert beam_of(usage) == (None, Source.NONE)
    assert (usage.cut_millimetres, usage.sheet_mm2) == (CUT_MM, SHEET_MM2)


def test_a_print_has_neither_beam_nor_sheet() -> None:
    usage = metered(an_artifact(), finished=True, beam_seconds=12.0, progress_permille=700)

    assert beam_of(usage) == (None, Source.NONE)
    assert (usage.cut_millimetres, usage.sheet_mm2, usage.sheet_material) == (0, 0, "")


@pytest.mark.parametrize(
    ("said", "seconds", "source", "quality"),
    [
        ({"machine_seconds": 580}, 580, Source.MACHINE, Quality.MEASURED),
        ({"machine_seconds": -1}, 0, Source.MACHINE, Quality.MEASURED),
        ({"observed_seconds": 90}, 90, Source.CLOCK, Quality.GAP_FILLED),
        ({"observed_seconds": 900}, 600, Source.CLOCK, Quality.GAP_FILLED),
        ({"observed_seconds": -4}, 0, Source.CLOCK, Quality.GAP_FILLED),
        ({"machine_seconds": 580, "observed_seconds": 90}, 580, Source.MACHINE, Quality.MEASURED),
        ({"finished": True}, 600, Source.ARTIFACT, Quality.GAP_FILLED),
        ({}, 0, Source.NONE, Quality.GAP_FILLED),
    ],
)
def test_seconds_are_the_machines_else_ours_else_the_plans(
    said: dict[str, Any], seconds: int, source: Source, quality: Quality
) -> None:
    usage = metered(CUT, **said)

    assert (usage.machine_seconds, usage.seconds_source, usage.quality) == (seconds, source, quality)


@pytest.mark.parametrize(
    ("said", "milligrams", "source"),
    [
        ({"filament_millimetres": 3350.0}, 10_000, Source.MACHINE),
        ({"filament_millimetres": -5.0}, 0, Source.MACHINE),
        ({"finished": True}, 20_000, Source.ARTIFACT),
        ({"position_bytes": 50_000}, 8_955, Source.CURVE),
        ({}, 0, Source.NONE),
    ],
)
def test_filament_is_the_machines_else_the_curves_at_the_last_place_seen(
    said: dict[str, Any], milligrams: int, source: Source
) -> None:
    usage = metered(an_artifact(), **said)

    assert (usage.filament_milligrams, usage.filament_source) == (milligrams, source)


@given(
    st.booleans(),
    st.integers(0, 1000),
    st.none() | st.floats(-1e6, 1e6),
    st.none() | st.integers(-1000, 10**6),
)
def test_usage_never_runs_backwards_nor_beyond_the_plan_by_itself(
    finished: bool, permille: int, beam: float | None, observed: int | None
) -> None:
    usage = metered(
        CUT, finished=finished, progress_permille=permille, beam_seconds=beam, observed_seconds=observed
    )

    assert usage.beam_seconds is not None
    assert usage.beam_seconds >= 0
    assert 0 <= usage.cut_millimetres <= CUT_MM
    assert usage.sheet_mm2 in {0, SHEET_MM2}
    assert usage.beam_seconds <= BEAM or usage.beam_source is Source.MACHINE


def test_a_cut_of_more_than_one_and_a_half_times_its_quote_is_a_persons_to_settle() -> None:
    usage = metered(CUT, finished=True)  # 100 + 150 + 182
    tariff = tariff_a()

    assert plausible(usage, tariff, Money(288))
    assert not plausible(usage, tariff, Money(287))
