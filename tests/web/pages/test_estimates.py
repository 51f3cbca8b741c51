"""What a technician reads of a lab that learns; and that the drawing draws what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.domain.calibration import Calibration, taught
from orchestrator.domain.member import Role
from orchestrator.flow import act
from orchestrator.ports import Unit
from tests.builders import NOON, an_event
from tests.domain.test_calibration import SIX, UNTAUGHT, runs, slow
from tests.web.pages.front import Front, a_front
from web.pages.estimates import EDGE, HEIGHT, WIDTH, chart, sign


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with a_front(tmp_path) as made:
        yield made


def learned() -> Calibration:
    made = taught(UNTAUGHT, runs(*slow(*SIX) * 2), NOON)
    assert made is not None
    return made


async def test_a_lab_without_runs_says_what_will_be_here(front: Front) -> None:
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=Role.TECH))
        seen = await visitor.get("/estimates")
    assert seen.status == 200
    assert "No run has finished yet." in seen.text


async def test_a_member_neither_sees_the_page_nor_its_place_in_the_menu(front: Front) -> None:
    async with front.visitor() as visitor:
        home = await visitor.sign_in(await front.person())
        assert 'href="/estimates"' not in home.html
        assert (await visitor.get("/estimates")).status == 403
        await visitor.post("/sign-out")
        board = await visitor.sign_in(await front.person(role=Role.TECH))
        assert 'href="/estimates"' in board.html


async def test_what_was_learned_is_told_in_words(front: Front) -> None:
    home = front.home
    await home.machine("Ada")
    member = await home.member()
    await home.open()
    for seconds in (600, 900, 1500):
        await home.job(member, f"part-{seconds}s-5000mg.stl")
        await home.clock.advance(3000)
        for machine in await home.store.read(lambda unit: unit.machines()):
            if machine.bed.value != "clear":
                await act.clear_bed(home.lab, home.tech, machine.id)
    (machine,) = await home.store.read(lambda unit: unit.machines())

    async def adopt(unit: Unit) -> None:
        await unit.adopt(replace(learned(), machine_id=machine.id), an_event("calibration.adopted"))

    await home.store.write(adopt)
    async with front.visitor() as visitor:
        await visitor.sign_in(await front.person(role=Role.TECH))
        seen = await visitor.get("/estimates")

    assert "All machines together" in seen.text
    assert "Ada" in seen.text
    assert "3 finished runs" in seen.text
    assert "slower than the slicer thinks" in seen.text
    assert "for every job: heating and the like" in seen.text
    assert "The slicer’s figures hold as they are" in seen.text, "of all together nothing was adopted"
    assert seen.html.count("<circle") >= 6


def test_the_drawing_stays_within_its_frame_and_a_run_on_time_lies_on_the_dashed_line() -> None:
    drawn = chart(runs(*slow(*SIX), (26_220, 26_220)), learned())
    assert drawn is not None
    for x, y in drawn.dots:
        assert EDGE <= x <= WIDTH - EDGE
        assert EDGE <= y <= HEIGHT - EDGE
    assert drawn.dots[-1] == pytest.approx((WIDTH - EDGE, EDGE))
    assert drawn.slicer == f"M{EDGE} {HEIGHT - EDGE}L{WIDTH - EDGE} {EDGE}"
    assert drawn.learned


def test_without_runs_there_is_no_drawing_and_without_a_calibration_no_second_line() -> None:
    assert chart([], None) is None
    plain = chart(runs((600, 600)), None)
    assert plain is not None
    assert plain.learned == ""


@pytest.mark.parametrize(("pace", "word"), [(0.08, 1), (-0.08, -1), (0.004, 0), (-0.004, 0)])
def test_half_a_percent_is_no_difference(pace: float, word: int) -> None:
    assert sign(pace) == word
