"""When the link to a laser is lost in mid-cut: what can still be said of it, and what is never done."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.errors import Conflict, MachineUnreachable
from orchestrator.domain.machine import Activity
from orchestrator.ports import Control, Outcome, Refused, Unknown, Where
from tests.drivers.grbl.bench import NAME, Bench, a_bench
from tests.rigs.fake_grbl import Manners

LONG = 300


async def test_a_silent_link_is_lost_in_time_and_still_told_to_hold(tmp_path: Path) -> None:
    async with a_bench(tmp_path, answer_seconds=1) as bench:
        await bench.start(LONG)
        await bench.passes(5)
        bench.fake.sinks.clear()  # it hears us and is not heard
        await bench.passes(2)

        assert bench.lost == 1
        assert bench.fake.state == "Hold"


async def test_after_a_lost_link_nothing_is_reset_or_fed_and_nobody_knows(tmp_path: Path) -> None:
    async with a_bench(tmp_path, answer_seconds=1) as bench:
        since = bench.clock.now()
        await bench.start(LONG)
        await bench.passes(5)
        bench.links[-1].dead = True
        bench.links[-1].hang_up()
        await bench.passes(0.3)
        fed = len(bench.fake.lines)

        await bench.reconnect()
        await bench.passes(0.5)

        assert bench.lost == 1
        assert bench.last.remote_name == NAME
        assert bench.last.activity is Activity.PRINTING
        assert "link was lost" in bench.last.message
        assert (await bench.driver.locate(NAME, since)).where is Where.RUNNING
        with pytest.raises(Conflict, match="link was lost"):
            await bench.meanwhile(bench.driver.control(NAME, Control.RESUME))
        await bench.passes(60)
        assert len(bench.fake.lines) <= fed + 128 // 10
        assert bench.fake.resets == 0
        assert bench.ended == []
        located = await bench.driver.locate(NAME, since)
        assert located.where is Where.UNSURE
        assert isinstance(await bench.start(LONG), Refused)


async def test_what_drifts_is_held_when_nobody_is_there_and_can_be_cancelled(tmp_path: Path) -> None:
    async with a_bench(tmp_path, answer_seconds=1) as bench:
        await bench.start(LONG)
        await bench.passes(5)
        bench.person_is_there = False
        bench.links[-1].dead = True
        bench.links[-1].hang_up()
        await bench.passes(0.3)
        await bench.reconnect()
        await bench.passes(3)
        assert bench.fake.state == "Hold"

        await bench.meanwhile(bench.driver.control(NAME, Control.CANCEL))

        assert bench.ended[0].outcome is Outcome.CANCELLED


async def test_closing_in_mid_cut_holds(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.start(LONG)
        await bench.passes(5)

        await bench.driver.close()

        assert bench.fake.state == "Hold"


async def test_a_start_without_an_answer_is_unknown_and_only_the_first_line_has_left(tmp_path: Path) -> None:
    async with a_bench(tmp_path, answer_seconds=0.2) as bench:
        since = bench.clock.now()
        bench.fake.manners = Manners(swallows_answers=True)

        answer = await bench.start(LONG)
        await bench.passes(1)
        await bench.reconnect()
        await bench.passes(60)

        assert isinstance(answer, Unknown)
        assert bench.fake.lines == ["G21"]
        assert bench.last.activity is Activity.PAUSED  # held when the link was given up, until somebody looks
        assert (await bench.driver.locate(NAME, since)).where is Where.RUNNING


async def test_a_file_of_which_nothing_left_has_never_started(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        await bench.driver.stage(bench.file(), NAME)

        assert (await bench.driver.locate(NAME, bench.clock.now())).where is Where.NEVER_STARTED
        assert (await bench.driver.locate("another.gcode", bench.clock.now())).where is Where.UNSURE


async def test_a_closed_driver_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    with pytest.raises(MachineUnreachable):
        await bench.driver.observe()
