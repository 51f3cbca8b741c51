"""A laser through the true flow: it starts only for somebody who is there, holds when they go, and bills the beam."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import Conflict, Forbidden, NotFound, Rejected
from orchestrator.domain.event import Event
from orchestrator.domain.job import Job, JobState
from orchestrator.domain.machine import Bed, Machine
from orchestrator.domain.member import Member, Role
from orchestrator.domain.presence import CHECKLIST, PRESENCE_SECONDS_MAX, Kiosk, Presence, ReleasePolicy
from orchestrator.domain.process import CutProcess
from orchestrator.domain.run import Cause, Run, RunState
from orchestrator.flow import act, release
from orchestrator.flow.submit import quote
from orchestrator.ports import Unit
from tests.builders import a_member, an_event
from tests.flow.home import Home, a_home


@dataclass
class Shop:
    """A laser with its device, and a trained member with a drawing."""

    home: Home
    machine: Machine
    kiosk: Kiosk
    member: Member
    job: Job

    async def run(self) -> Run:
        return (await self.home.store.read(lambda unit: unit.runs_of(self.job.id)))[-1]

    async def state(self) -> RunState:
        return (await self.run()).state

    async def now(self) -> Job:
        return await self.home.now(self.job)

    async def bed(self) -> Bed:
        machine = await self.home.store.read(lambda unit: unit.machine(self.machine.id))
        assert machine is not None
        return machine.bed

    async def release(self, by: Member | None = None, checklist: tuple[str, ...] = CHECKLIST) -> Presence:
        run = await self.run()
        return await release.release(self.home.lab, self.kiosk, by or self.member, run.id, checklist)

    async def stays(self, presence: Presence, seconds: float) -> None:
        """The device says so every half second for so long."""
        for _ in range(round(2 * seconds)):
            await release.heartbeat(self.home.lab, self.kiosk, presence.id, presence.run_id)
            await self.home.clock.advance(0.5)

    async def tells_nothing(self) -> None:
        """Like a folder: the machine's row says that only a person knows the end."""

        async def work(unit: Unit) -> None:
            machine = await unit.machine(self.machine.id)
            assert machine is not None
            silent = replace(machine, abilities=replace(machine.abilities, tells_end=False))
            await unit.change_machine(machine, silent, an_event("machine.changed"))

        await self.home.store.write(work)

    async def topics(self) -> list[str]:
        return [event.topic for event in await self.events()]

    async def events(self) -> list[Event]:
        return list(await self.home.store.read(lambda unit: unit.events(0, limit=500)))

    @property
    def world(self) -> object:
        return self.home.worlds[self.machine.id]


@asynccontextmanager
async def a_shop(
    tmp_path: Path, policy: ReleasePolicy = ReleasePolicy.KIOSK_START, **world: Any
) -> AsyncIterator[Shop]:
    async with a_home(tmp_path) as home:
        machine = await home.laser(policy=policy, **world)
        kiosk = await release.enrol(home.lab, home.tech, machine.id, "tablet", "a key")
        member = await home.member()
        await home.train(member)
        job = await home.cut(member)
        await home.open()
        await home.clock.advance(1)
        yield Shop(home=home, machine=machine, kiosk=kiosk, member=member, job=job)


async def test_a_staged_cut_waits_for_a_person_and_never_starts_by_itself(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        await shop.home.clock.advance(20 * 60)

        assert await shop.state() is RunState.STAGED
        assert shop.home.worlds[shop.machine.id].starts == ()


async def test_a_released_cut_runs_while_somebody_stays_and_is_billed_by_the_beam(tmp_path: Path) -> None:
    async with a_shop(tmp_path, speed=60.0) as shop:
        presence = await shop.release()
        await shop.stays(presence, 11)

        job, run = await shop.now(), await shop.run()
        assert (job.state, run.state) == (JobState.DONE, RunState.FINISHED)
        assert run.usage is not None
        assert run.usage.beam_seconds == 300
        bill = await shop.home.store.read(lambda unit: unit.bill(job.id))
        assert bill is not None
        assert [(line.kind.value, line.amount.cents) for line in bill.lines] == [
            ("setup", 100),
            ("beam", 150),
            ("material", 1),
        ]
        assert await shop.bed() is Bed.OCCUPIED


async def test_a_person_who_goes_makes_the_laser_hold_and_only_a_new_release_lets_it_go_on(
    tmp_path: Path,
) -> None:
    async with a_shop(tmp_path) as shop:
        presence = await shop.release()
        await shop.stays(presence, 5)
        assert await shop.state() is RunState.RUNNING

        await shop.home.clock.advance(2)

        world = shop.home.worlds[shop.machine.id]
        assert world.read().activity.value == "paused"
        await shop.home.clock.advance(1)
        assert await shop.state() is RunState.PAUSED
        with pytest.raises(Forbidden):
            await act.resume(shop.home.lab, shop.member, shop.job.id)
        await shop.stays(presence, 3)
        assert await shop.state() is RunState.PAUSED
        assert len(world.starts) == 1

        again = await shop.release()
        await shop.stays(again, 3)

        assert await shop.state() is RunState.RUNNING


async def test_what_nobody_releases_is_taken_back_and_waits_for_another_turn(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        await shop.home.clock.advance(31 * 60)

        run, job = await shop.run(), await shop.now()
        assert (run.state, run.cause) == (RunState.CANCELLED, Cause.NEVER_STARTED)
        assert (job.state, job.failed_runs) == (JobState.QUEUED, 0)
        assert run.remote_name not in shop.home.worlds[shop.machine.id].memory.files
        assert await shop.bed() is Bed.OCCUPIED


async def test_an_open_lid_makes_it_hold_and_forbids_the_release(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        world = shop.home.worlds[shop.machine.id]
        world.open_lid()
        await shop.home.clock.advance(4)

        with pytest.raises(Conflict) as refused:
            await shop.release()

        assert [fault.rule for fault in refused.value.faults] == ["condition"]
        world.close_lid()
        await shop.home.clock.advance(4)
        await shop.stays(await shop.release(), 3)
        assert await shop.state() is RunState.RUNNING


async def test_an_extractor_that_fails_makes_it_hold_within_two_seconds(tmp_path: Path) -> None:
    async with a_shop(tmp_path, reading_seconds=1.0) as shop:
        presence = await shop.release()
        await shop.stays(presence, 4)
        world = shop.home.worlds[shop.machine.id]

        world.troubles = replace(world.troubles, extractor_off=True)
        await shop.stays(presence, 2)

        assert world.read().activity.value == "paused"
        assert "run.held_back" in await shop.topics()


async def test_whose_cut_was_held_back_is_told(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        await shop.stays(await shop.release(), 2)
        await shop.home.clock.advance(4)

        (held,) = [event for event in await shop.events() if event.topic == "run.held_back"]
        run = await shop.run()
        assert (held.member_id, held.job_id, held.run_id, held.machine_id) == (
            shop.member.id,
            shop.job.id,
            run.id,
            shop.machine.id,
        )
        assert held.data["rules"] == ["presence"]


@pytest.mark.parametrize("who", ["a member without training", "somebody else", "staff without training"])
async def test_nobody_releases_what_is_not_theirs_or_what_they_were_not_trained_for(
    tmp_path: Path, who: str
) -> None:
    async with a_shop(tmp_path) as shop:
        person = shop.member
        if who == "a member without training":
            await _untrain(shop)
        else:
            role = Role.TECH if who == "staff without training" else Role.MEMBER
            person = a_member(role=role)
            await shop.home.store.write(lambda unit: unit.add_member(person))
            if who == "somebody else":
                await shop.home.train(person)

        with pytest.raises(Conflict) as refused:
            await shop.release(person)

        rules = {fault.rule for fault in refused.value.faults}
        assert rules == ({"release_person"} if who == "somebody else" else {"no_training"})
        assert await shop.state() is RunState.STAGED


async def _untrain(shop: Shop) -> None:
    from orchestrator.domain.member import Entitlement

    over = Entitlement(member_id=shop.member.id, machine_class="laser", until=shop.home.clock.now())
    await shop.home.store.write(lambda unit: unit.put_entitlement(over))


async def test_a_release_that_leaves_out_a_point_of_the_list_is_refused(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        for missing in CHECKLIST:
            with pytest.raises(Conflict, match=missing):
                await shop.release(checklist=tuple(point for point in CHECKLIST if point != missing))


async def test_the_device_of_another_machine_releases_nothing_here(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        other = await shop.home.laser("Volta")
        there = await release.enrol(shop.home.lab, shop.home.tech, other.id, "other", "key")
        run = await shop.run()

        with pytest.raises(NotFound):
            await release.release(shop.home.lab, there, shop.member, run.id, CHECKLIST)


# --- started at its own panel ---------------------------------------------------------------------


async def test_a_laser_with_a_panel_is_released_here_and_started_there(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ReleasePolicy.PHYSICAL_START, speed=60.0) as shop:
        await shop.release()
        await shop.home.clock.advance(2)
        assert await shop.state() is RunState.START_SENT
        assert shop.home.worlds[shop.machine.id].starts == ()

        shop.home.worlds[shop.machine.id].press_start((await shop.run()).remote_name)
        await shop.home.clock.advance(12)

        assert (await shop.now()).state is JobState.DONE


async def test_a_panel_that_nobody_presses_loses_the_file_and_the_job_its_turn(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ReleasePolicy.PHYSICAL_START) as shop:
        await shop.release()
        await shop.home.clock.advance(PRESENCE_SECONDS_MAX + 10)

        run = await shop.run()
        assert (run.state, run.cause) == (RunState.CANCELLED, Cause.NEVER_STARTED)
        assert run.remote_name not in shop.home.worlds[shop.machine.id].memory.files


async def test_a_panel_pressed_without_a_release_is_an_incident_and_still_a_run(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ReleasePolicy.PHYSICAL_START) as shop:
        shop.home.worlds[shop.machine.id].press_start((await shop.run()).remote_name)
        await shop.home.clock.advance(3)

        assert await shop.state() in {RunState.RUNNING, RunState.PAUSED}
        reasons = [e.data.get("reason") for e in await shop.events() if e.topic == "machine.needs_person"]
        assert "run_without_presence" in reasons
        assert await shop.bed() is Bed.OCCUPIED


# --- two people -----------------------------------------------------------------------------------


async def test_a_sensor_is_done_without_only_by_two_people_and_never_the_presence(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        world, lab = shop.home.worlds[shop.machine.id], shop.home.lab
        world.troubles = replace(world.troubles, extractor_off=True)
        await shop.home.clock.advance(4)
        second = a_member(role=Role.TECH)
        await shop.home.store.write(lambda unit: unit.add_member(second))
        with pytest.raises(Conflict):
            await shop.release()

        await release.override(lab, shop.home.tech, shop.machine.id, "extractor", "sensor broken")
        with pytest.raises(Conflict, match="second person"):
            await release.override(lab, shop.home.tech, shop.machine.id, "extractor", "again")
        with pytest.raises(Conflict):
            await shop.release()
        confirmed = await release.override(lab, second, shop.machine.id, "extractor", "")

        assert confirmed.stands(shop.home.clock.now())
        await shop.stays(await shop.release(), 3)
        assert await shop.state() is RunState.RUNNING
        await shop.home.clock.advance(3)
        assert await shop.state() is RunState.PAUSED


async def test_an_override_wants_a_reason_and_a_sensor_that_is_there(tmp_path: Path) -> None:
    async with a_shop(tmp_path) as shop:
        lab, tech = shop.home.lab, shop.home.tech
        for condition, reason in (("extractor", " "), ("chiller", "because")):
            with pytest.raises(Rejected):
                await release.override(lab, tech, shop.machine.id, condition, reason)
        with pytest.raises(Forbidden):
            await release.override(lab, shop.member, shop.machine.id, "extractor", "please")


async def test_what_the_person_says_of_the_result_is_kept(tmp_path: Path) -> None:
    async with a_shop(tmp_path, speed=600.0) as shop:
        await shop.stays(await shop.release(), 4)
        run = await shop.run()

        await release.judge_here(shop.home.lab, shop.kiosk, run.id, release.Judgement.NOT_THROUGH)

        said = [event.data for event in await shop.events() if event.topic == "run.judged"]
        assert said == [{"verdict": "not_through"}]


# --- a machine that tells nothing ------------------------------------------------------------------


async def test_where_nobody_but_a_person_knows_the_end_they_close_the_run_at_the_device(
    tmp_path: Path,
) -> None:
    async with a_shop(tmp_path, ReleasePolicy.PHYSICAL_START) as shop:
        await shop.tells_nothing()
        await shop.release()
        await shop.home.clock.advance(400)
        assert await shop.state() is RunState.START_SENT

        run = await shop.run()
        await release.close_here(shop.home.lab, shop.kiosk, run.id, release.Closing.FINISHED, 9)

        ended, job = await shop.run(), await shop.now()
        assert (ended.state, job.state) == (RunState.FINISHED, JobState.DONE)
        assert ended.usage is not None
        assert (ended.usage.machine_seconds, ended.usage.beam_seconds) == (540, 300)
        assert await shop.bed() is Bed.OCCUPIED


async def test_a_machine_that_tells_its_end_is_closed_by_nobody_and_one_that_does_not_is_waited_for(
    tmp_path: Path,
) -> None:
    async with a_shop(tmp_path, ReleasePolicy.PHYSICAL_START) as shop:
        await shop.release()
        await shop.home.clock.advance(2)
        run = await shop.run()
        with pytest.raises(Conflict):
            await release.close_here(shop.home.lab, shop.kiosk, run.id, release.Closing.FINISHED, None)
    async with a_shop(tmp_path, ReleasePolicy.PHYSICAL_START) as shop:
        await shop.tells_nothing()
        await shop.release()
        await shop.home.clock.advance(PRESENCE_SECONDS_MAX + 2 * 600 + 60)
        # The simulated machine remembers that nobody pressed anything; a folder could not say.
        assert (await shop.run()).cause is Cause.NEVER_STARTED


async def test_finished_cuts_teach_the_next_quotes_as_prints_do(tmp_path: Path) -> None:
    async with a_shop(tmp_path, speed=60.0, pace=1.3) as shop:
        for seconds in (300, 2400, 1200, 3000, 900, 1800):
            await shop.stays(await shop.release(), 70)
            assert (await shop.now()).state is JobState.DONE
            await act.clear_bed(shop.home.lab, shop.home.tech, shop.machine.id)
            shop.job = await shop.home.cut(shop.member, f"box-{seconds}s-.svg")
            await shop.home.clock.advance(1)

        file = await shop.home.file(shop.member, "again-600s-.svg")
        wish = await quote(
            shop.home.lab,
            shop.member,
            file_id=file.id,
            process=CutProcess(),
            quantity=1,
            machine_class=None,
        )

        assert wish.estimate.calibration.startswith("co2-6040-grbl")
        assert wish.estimate.print_seconds.p50 == pytest.approx(780, rel=0.03)
        assert wish.estimate.cutting is not None
        assert wish.estimate.cutting.beam_seconds is not None
        assert wish.estimate.cutting.beam_seconds.p50 == pytest.approx(390, rel=0.06)
