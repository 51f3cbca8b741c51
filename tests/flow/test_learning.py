"""A lab whose machine is not as fast as its slicer says: what it learns, run by run, and who is told what."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from drivers.simulated.world import Settings, SimulatedMachine
from orchestrator.domain.calibration import Sample
from orchestrator.domain.job import Job, JobState
from orchestrator.domain.machine import Bed, Machine
from orchestrator.domain.member import Member
from orchestrator.domain.process import Process
from orchestrator.domain.quote import Quote
from orchestrator.domain.run import RunState
from orchestrator.flow import act, report
from orchestrator.flow.learn import estimates
from orchestrator.flow.sight import trust
from orchestrator.flow.submit import quote
from tests.flow.home import Home, a_home

PARTS = (600, 900, 1500, 2400, 4000, 700, 1100, 3000, 1800, 5000)
"""Seconds that the slicer says, in the order in which ten jobs come."""
PACE, WARM_UP = 1.08, 300
UNSEEN = 2000


async def slow(home: Home, name: str, pace: float = PACE, warm_up: float = WARM_UP) -> Machine:
    """A machine 8 % slower than its slicer that heats for five minutes."""
    machine = await home.machine(name)
    settings = Settings(identity=name, reading_seconds=240, pace=pace, warm_up_seconds=warm_up)
    home.worlds[machine.id] = SimulatedMachine(settings, home.clock)
    return machine


async def printed(home: Home, member: Member, seconds: int) -> Job:
    """A job from the drop to the cleared bed."""
    job = await home.job(member, f"part-{seconds}s-5000mg.stl")
    await home.clock.advance(3 * seconds + 1000)
    for view in await report.fleet(home.lab, home.tech):
        if view.run is None and view.machine.bed is Bed.OCCUPIED:
            await act.clear_bed(home.lab, home.tech, view.machine.id)
    return await home.now(job)


async def told(home: Home, member: Member, seconds: int) -> Quote:
    file = await home.file(member, f"part-{seconds}s-5000mg.stl")
    return await quote(home.lab, member, file_id=file.id, process=Process(), quantity=1, machine_class=None)


async def samples(home: Home, machine_id: UUID | None = None) -> list[Sample]:
    return list(await home.store.read(lambda unit: unit.samples("mk3s", machine_id, limit=100)))


async def adoptions(home: Home) -> list[dict[str, object]]:
    events = await home.store.read(lambda unit: unit.events(0, limit=10_000))
    return [dict(event.data) for event in events if event.topic == "calibration.adopted"]


async def test_quotes_come_to_say_what_the_machine_takes(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await slow(home, "Ada")
        member = await home.member()
        await home.open()
        truth = PACE * UNSEEN + WARM_UP
        first = await told(home, member, UNSEEN)
        errors = [abs(first.estimate.print_seconds.p50 / truth - 1)]
        for seconds in PARTS:
            assert (await printed(home, member, seconds)).state in {JobState.DONE, JobState.ATTENTION}
            offer = await told(home, member, UNSEEN)
            errors.append(abs(offer.estimate.print_seconds.p50 / truth - 1))

        assert errors[0] > 0.18
        assert errors[1] == errors[2] == errors[0], "two runs are too few"
        assert errors[3] < 0.07
        assert errors[10] < 0.01
        assert len(await samples(home, ada.id)) == 10

        last = await told(home, member, UNSEEN)
        version = (await adoptions(home))[-1]["version"]
        assert (first.estimate.calibration, last.estimate.calibration) == ("", f"mk3s:{version}")
        assert last.estimate.raw_print_seconds == first.estimate.print_seconds
        assert last.total > first.total
        assert await report.quote_of(home.lab, member, first.id) == first, "what was promised stands"
        assert await home.store.read(lambda unit: unit.quote(last.id)) == last
        assert not await home.store.verify()


async def test_the_page_of_a_lab_that_learned_says_so_for_the_machine_and_for_all(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        await slow(home, "Ada")
        member = await home.member()
        await home.open()
        assert await estimates(home.lab) == ()
        for seconds in PARTS[:6]:
            await printed(home, member, seconds)

        together, ada = await estimates(home.lab)

        assert (together.machine, ada.machine and ada.machine.name) == (None, "Ada")
        assert together.runs == ada.runs == len(ada.samples) == 6
        assert ada.slicer_error is not None
        assert ada.slicer_error > 0.2
        assert ada.calibration is not None
        assert ada.calibration.time_error_after_bp < 500
        assert ada.quoted_material_error is None, "this machine measures no filament"


async def test_each_machine_has_its_own_pace_and_a_quote_the_pace_of_them_all(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await slow(home, "Ada", pace=1.0, warm_up=0)
        member = await home.member()
        await home.open()
        for seconds in PARTS[:8]:
            await printed(home, member, seconds)
        await act.hold(home.lab, home.tech, ada.id, "service")
        grace = await slow(home, "Grace", pace=1.3, warm_up=0)
        await home.die()
        await home.open()
        for seconds in PARTS[:8]:
            await printed(home, member, seconds)

        async def knows(machine_id: UUID | None) -> float:
            held = await home.store.read(lambda unit: unit.calibration("mk3s", machine_id))
            return held.seconds(UNSEEN) / UNSEEN if held else 1.0

        assert await knows(ada.id) == 1.0, "as the slicer says: nothing to adopt"
        assert await knows(grace.id) == pytest.approx(1.3, abs=0.02)
        assert 1.05 < await knows(None) < 1.25
        assert (await told(home, member, UNSEEN)).estimate.print_seconds.p50 == round(
            UNSEEN * await knows(None)
        )


async def test_a_forecast_reckons_with_the_pace_of_the_machine_and_of_whoever_clears_its_bed(
    tmp_path: Path,
) -> None:
    async with a_home(tmp_path) as home:
        await slow(home, "Ada")
        member = await home.member()
        await home.open()
        for seconds in PARTS:
            await printed(home, member, seconds)
        await home.job(member, f"part-{UNSEEN}s-5000mg.stl")
        waits = await home.job(member, f"part-{UNSEEN}s-5000mg.stl")
        await home.clock.advance(10)

        view = await report.job_view(home.lab, member, waits.id)

        assert view.forecast is not None
        truth = PACE * UNSEEN + WARM_UP
        ahead = (view.forecast.start.p50 - home.clock.now()).total_seconds()
        takes = (view.forecast.end.p50 - view.forecast.start.p50).total_seconds()
        clearing = (await home.store.read(lambda unit: trust(unit, None))).clearing.p50
        assert ahead == pytest.approx(truth + clearing, rel=0.02)
        assert takes == pytest.approx(truth, rel=0.02)


async def test_what_did_not_finish_or_was_not_counted_teaches_nothing(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await slow(home, "Ada")
        member = await home.member()
        await home.open()

        cancelled = await home.job(member)
        await home.clock.advance(300)
        await act.cancel(home.lab, member, cancelled.id)
        await home.clock.advance(60)
        await act.clear_bed(home.lab, home.tech, ada.id)

        forgotten = await home.job(member)
        await home.clock.advance(300)
        home.worlds[ada.id].lose_power()
        await home.clock.advance(100_000)
        (run,) = (await report.job_view(home.lab, member, forgotten.id)).runs
        assert run.state is RunState.UNCLEAR
        await act.decide_run(home.lab, home.tech, run.id, act.Verdict.FINISHED)
        assert (await home.now(forgotten)).state is JobState.DONE

        assert await samples(home) == []


async def test_a_run_is_learned_from_once_whatever_happens_to_us_meanwhile(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        await slow(home, "Ada")
        member = await home.member()
        await home.open()
        job = await home.job(member)
        for _ in range(5):
            await home.clock.advance(60)
            await home.die()
            await home.clock.advance(20)
            await home.open()
        await home.clock.advance(2000)
        assert (await home.now(job)).state in {JobState.DONE, JobState.ATTENTION}
        assert len(await samples(home)) == 1


async def test_a_sliced_price_above_the_hold_is_asked_for_at_the_machines_pace(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        await slow(home, "Ada")
        member = await home.member(cents=500_000)
        await home.open()
        for seconds in PARTS:
            await printed(home, member, seconds)

        job = await home.job(member, "part-600s-sliced90000s-5000mg.stl")

        assert job.state is JobState.QUOTED
        dearer = await report.quote_of(home.lab, member, job.quote_id)
        assert dearer.estimate.print_seconds.p50 == pytest.approx(PACE * 90_000 + WARM_UP, rel=0.01)
        assert dearer.estimate.calibration.startswith("mk3s:")
        assert str(dearer.estimate.print_seconds.p50) in job.reason


async def test_the_member_never_pays_more_than_was_held_for_a_slow_machine(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        await slow(home, "Ada", pace=1.4, warm_up=0)
        member = await home.member()
        await home.open()
        for seconds in PARTS[:6]:
            job = await printed(home, member, seconds)
            view = await report.job_view(home.lab, member, job.id)
            assert view.bill is not None
            assert view.bill.captured <= view.quote.hold
        late = await printed(home, member, 4000)
        view = await report.job_view(home.lab, member, late.id)
        assert view.bill is not None
        assert view.bill.captured < view.quote.hold, "the quote has learned: nothing has to be forgiven"
