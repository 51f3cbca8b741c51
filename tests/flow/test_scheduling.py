"""The queue as people meet it: fair between them, clear of other people's windows, open about why and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestrator.domain.calendar import Opening, SiteCalendar
from orchestrator.domain.errors import Forbidden
from orchestrator.domain.job import Job, JobState, Priority
from orchestrator.domain.machine import Bed, Machine
from orchestrator.domain.member import Entitlement, Level, Member
from orchestrator.domain.process import Material
from orchestrator.domain.reservation import Purpose, Reservation
from orchestrator.domain.tariff import LineKind
from orchestrator.flow import act, report, steer
from orchestrator.flow.authorize import authorize
from orchestrator.ports import Demand, Foretold
from tests.builders import a_member, an_event
from tests.flow.home import Home, a_home

HOUR = 3600


async def reserve(home: Home, machine: Machine, start: float, hours: float, **other: Any) -> Reservation:
    """A window that begins so many seconds from now."""
    now = home.clock.now()
    values: dict[str, Any] = {
        "id": uuid4(),
        "system": "booking",
        "external_id": uuid4().hex,
        "site": machine.site,
        "machine_id": machine.id,
        "machine_class": None,
        "purpose": Purpose.BOOKING,
        "starts_at": now + timedelta(seconds=start),
        "ends_at": now + timedelta(seconds=start + hours * HOUR),
        "created_at": now,
        "changed_at": now,
    }
    window = Reservation(**(values | other))
    await home.store.write(lambda unit: unit.add_reservation(window, an_event("reservation.booked")))
    return window


async def states(home: Home, *jobs: Job) -> list[JobState]:
    return [(await home.now(job)).state for job in jobs]


async def clear(home: Home, machine: Machine) -> None:
    await act.clear_bed(home.lab, home.tech, machine.id)
    await home.clock.advance(1)


async def test_who_has_had_the_machine_all_day_lets_another_go_first(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        heavy, light = await home.member(), await home.member()
        await home.open()
        await home.job(heavy, "part-7200s-5000mg.stl")
        await home.clock.advance(8000)
        again = await home.job(heavy, "part-600s-5000mg.stl")
        await home.clock.advance(60)
        first = await home.job(light, "part-600s-5000mg.stl")

        await clear(home, ada)

        assert await states(home, again, first) == [JobState.QUEUED, JobState.ACTIVE]


async def test_the_lab_puts_a_job_first_and_a_member_may_not(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada", bed=Bed.OCCUPIED)
        one, two = await home.member(), await home.member()
        await home.open()
        early, late = await home.job(one), await home.job(two)
        with pytest.raises(Forbidden, match="staff"):
            await steer.prioritise(home.lab, two, late.id, priority=Priority.URGENT, deadline=None)
        await steer.prioritise(home.lab, home.tech, late.id, priority=Priority.URGENT, deadline=None)

        shown = await report.queue(home.lab, home.tech)
        await clear(home, ada)

        assert [e.job.job.id for e in shown.waiting] == [late.id, early.id]
        assert all(
            e.score and e.score.points == pytest.approx(sum(t.points for t in e.score.terms))
            for e in shown.waiting
        )
        assert await states(home, early, late) == [JobState.QUEUED, JobState.ACTIVE]


async def test_a_new_run_keeps_clear_of_a_foreign_window_and_a_short_one_fills_the_hole(
    tmp_path: Path,
) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member, other = await home.member(), await home.member()
        await reserve(home, ada, start=2 * HOUR, hours=1, member_id=other.id)
        await home.open()
        long = await home.job(member, f"part-{3 * HOUR}s-5000mg.stl")
        await home.clock.advance(60)
        short = await home.job(other, "part-1800s-5000mg.stl")
        await home.clock.advance(60)

        assert await states(home, long, short) == [JobState.QUEUED, JobState.ACTIVE]
        told = await report.explain(home.lab, member, long.id)
        ((_machine, noes),) = told.machines
        window = next(no for no in noes if no.rule == "booked_by_other")
        assert window.at == datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
        assert told.job.forecast is not None
        assert told.job.forecast.start.p50 >= window.at


async def test_the_holders_own_jobs_use_their_window_and_others_begin_when_it_is_over(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member, holder = await home.member(), await home.member()
        await reserve(home, ada, start=-60, hours=1, member_id=holder.id)
        await home.open()
        waits = await home.job(member, "part-600s-5000mg.stl")
        await home.clock.advance(60)
        assert await states(home, waits) == [JobState.QUEUED]

        own = await home.job(holder, "part-600s-5000mg.stl")
        await home.clock.advance(1200)
        assert await states(home, own) == [JobState.DONE]
        await clear(home, ada)
        assert await states(home, waits) == [JobState.QUEUED]

        await home.clock.advance(HOUR)
        assert (await states(home, waits))[0] in {JobState.ACTIVE, JobState.DONE}, "the clock alone woke it"


async def test_a_running_job_is_never_killed_by_a_window(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member()
        await home.open()
        job = await home.job(member, f"part-{2 * HOUR}s-5000mg.stl")
        await home.clock.advance(600)

        await reserve(home, ada, start=600, hours=1, purpose=Purpose.MAINTENANCE)
        await home.clock.advance(3 * HOUR)

        assert await states(home, job) == [JobState.DONE]


async def test_a_supervised_members_job_waits_for_the_staff_to_agree(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        await home.machine("Ada")
        member = await home.member()
        supervised = Entitlement(member_id=member.id, machine_class="fdm", level=Level.SUPERVISED)
        await home.store.write(lambda unit: unit.put_entitlement(supervised))
        await home.open()
        job = await home.job(member)
        await home.clock.advance(60)
        assert await rules(home, member, job) == {"supervised"}

        await steer.approve(home.lab, home.tech, job.id)
        await home.clock.advance(60)

        assert await states(home, job) == [JobState.ACTIVE]


async def rules(home: Home, member: Member, job: Job) -> set[str]:
    told = await report.explain(home.lab, member, job.id)
    return {no.rule for _machine, noes in told.machines for no in noes}


async def test_each_refusal_is_counted_once_a_day_in_the_demand_report(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        await home.machine("Ada")
        now = home.clock.now()
        untrained, expired, supervised = await home.member(), await home.member(), await home.member()
        old = Entitlement(member_id=expired.id, machine_class="fdm", until=now - timedelta(days=1))
        led = Entitlement(member_id=supervised.id, machine_class="fdm", level=Level.SUPERVISED)
        await home.store.write(lambda unit: unit.drop_entitlement(untrained.id, "fdm"))
        await home.store.write(lambda unit: unit.put_entitlement(old))
        await home.store.write(lambda unit: unit.put_entitlement(led))
        await home.open()
        for member in (untrained, expired, supervised):
            await home.job(member)
        await home.clock.advance(600)
        await home.die()
        await home.open()
        await home.clock.advance(600)

        counted = await home.store.read(lambda unit: unit.demand("2026-03-02", "2026-03-02"))

        row: dict[str, Any] = {
            "day": "2026-03-02",
            "machine_class": "fdm",
            "public": "individual",
            "refused": 1,
        }
        assert list(counted) == [
            Demand(rule=rule, **row) for rule in ("no_training", "supervised", "training_expired")
        ]


async def test_a_plan_is_answered_by_the_same_rules_and_its_denial_is_counted(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member, other = await home.member(), await home.member()
        await home.open()
        window = await reserve(home, ada, start=2 * HOUR, hours=1, member_id=other.id)
        at = window.starts_at - timedelta(hours=1)

        async def ask(who: Member | None, seconds: int) -> Any:
            return await authorize(
                home.lab,
                who.id if who else None,
                machine_id=ada.id,
                machine_class=None,
                at=at,
                seconds=seconds,
            )

        fits, crosses, own = await ask(member, HOUR), await ask(member, HOUR + 60), await ask(other, 2 * HOUR)
        nobody = await ask(None, HOUR)

        assert (fits.allowed, fits.max_seconds, fits.price.cents) == (True, HOUR, 200)
        assert (crosses.allowed, [no.rule for _m, no in crosses.refusals]) == (False, ["booked_by_other"])
        assert own.allowed
        assert [no.rule for _m, no in nobody.refusals] == ["not_member"]
        counted = await home.store.read(lambda unit: unit.demand("2026-03-01", "2026-03-03"))
        assert [(one.rule, one.refused) for one in counted] == [("booked_by_other", 1)]


async def test_an_attended_machine_is_given_nothing_that_would_not_be_done_before_the_lab_closes(
    tmp_path: Path,
) -> None:
    async with a_home(tmp_path) as home:
        laser = await home.laser()
        member = await home.member()
        await home.train(member)
        monday = tuple(Opening(weekday=day, from_minute=9 * 60, to_minute=14 * 60) for day in range(5))
        await home.store.write(
            lambda unit: unit.put_calendar(
                SiteCalendar(site=laser.site, openings=monday), an_event("calendar.changed")
            )
        )
        await home.open()
        long = await home.cut(member, f"box-{2 * HOUR}s-.svg")  # it is 13:00 in Paris
        await home.clock.advance(60)

        told = await report.explain(home.lab, member, long.id)

        ((_machine, noes),) = told.machines
        assert [(no.rule, no.at) for no in noes] == [
            ("outside_calendar", datetime(2026, 3, 3, 8, 0, tzinfo=UTC))
        ]
        short = await home.cut(member, "box-600s-.svg")
        await home.clock.advance(60)
        assert await states(home, long, short) == [JobState.QUEUED, JobState.ACTIVE]


async def test_a_forecast_is_written_down_when_a_job_begins_to_wait_and_measured(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member()
        await home.open()
        first = await home.job(member, "part-3600s-5000mg.stl")
        await home.clock.advance(60)
        second = await home.job(member, "part-1800s-5000mg.stl")
        await home.clock.advance(60)
        shown = await report.job_view(home.lab, member, second.id)
        await home.clock.advance(3900)
        await clear(home, ada)
        await home.clock.advance(2400)
        assert await states(home, first, second) == [JobState.DONE, JobState.DONE]

        told = {one.job_id: one for one in await home.store.read(lambda unit: unit.foretold())}[second.id]
        seen = await report.queue(home.lab, home.tech)
        assert (seen.told, seen.kept) == (1, 1), "the first began at once and was told nothing"

        assert shown.forecast is not None
        assert (shown.forecast.machine_id, shown.forecast.after) == (ada.id, 1)
        assert isinstance(told, Foretold)
        assert told.started_at is not None
        assert told.started_at <= told.start_p90
        assert told.ended_at is not None
        assert told.ended_at <= told.end_p90


async def test_what_is_left_on_the_spool_is_counted_down_and_too_little_gets_no_job(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member()
        await act.load_material(home.lab, home.tech, ada.id, Material.PLA, stock_milligrams=8_000)
        await home.open()
        await home.job(member, "part-600s-5000mg.stl")
        await home.clock.advance(1200)
        await clear(home, ada)

        job = await home.job(member, "part-600s-5000mg.stl")
        await home.clock.advance(60)

        (shown,) = await report.fleet(home.lab, home.tech)
        assert shown.machine.stock_milligrams == 3_000
        assert await rules(home, member, job) == {"material_unavailable"}


@pytest.mark.parametrize(
    ("starts", "hours", "cents"),
    [
        (datetime(2026, 10, 24, 22, 30, tzinfo=UTC), 5, 1000),  # 00:30 to 04:30 in Paris, an hour twice
        (datetime(2026, 3, 28, 23, 30, tzinfo=UTC), 3, 600),  # the same on the clock, an hour missing
    ],
)
async def test_a_print_over_a_daylight_saving_night_is_billed_for_the_hours_that_passed(
    tmp_path: Path, starts: datetime, hours: int, cents: int
) -> None:
    async with a_home(tmp_path) as home:
        await home.machine("Ada")
        member = await home.member()
        await home.clock.advance((starts - home.clock.now()).total_seconds())
        await home.open()
        job = await home.job(member, f"part-{hours * HOUR}s-5000mg.stl")
        await home.clock.advance(hours * HOUR + 600)

        bill = await home.store.read(lambda unit: unit.bill(job.id))

        assert bill is not None
        (time,) = [line for line in bill.lines if line.kind is LineKind.TIME]
        assert time.amount.cents == cents


async def test_the_weights_of_the_queue_are_the_labs_to_set(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada", bed=Bed.OCCUPIED)
        heavy, light = a_member(), await home.member()
        assert heavy.id != light.id
        plain = replace(home.lab.policy, share=0, priority=0, deadline=0, material=0)
        home.lab = replace(home.lab, policy=plain)
        await home.open()
        early = await home.job(light)
        await home.clock.advance(60)
        late = await home.job(light)
        await steer.prioritise(home.lab, home.tech, late.id, priority=Priority.URGENT, deadline=None)

        await clear(home, ada)

        assert await states(home, early, late) == [JobState.ACTIVE, JobState.QUEUED]
