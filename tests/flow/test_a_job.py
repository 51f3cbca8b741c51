"""One job through the true flow: what happens to it, its machine and its member's money."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.simulated.world import Troubles
from orchestrator.domain.errors import Conflict
from orchestrator.domain.job import JobState
from orchestrator.domain.machine import Bed, Link
from orchestrator.domain.run import Cause, RunState
from orchestrator.domain.usage import NOTHING
from orchestrator.flow import act, report
from orchestrator.flow.submit import accept
from tests.flow.home import a_home


async def test_an_accepted_job_is_printed_once_and_paid(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member(cents=2000)
        await home.open()

        job = await home.job(member)
        await home.clock.advance(30)
        assert (await home.now(job)).state is JobState.ACTIVE
        await home.clock.advance(900)

        view = await report.job_view(home.lab, member, job.id)
        assert (view.job.state, [run.state for run in view.runs]) == (JobState.DONE, [RunState.FINISHED])
        assert len(home.worlds[ada.id].starts) == 1
        assert view.bill is not None
        assert sum(line.amount.cents for line in view.bill.lines) == view.bill.captured.cents > 0
        balance = (await report.account(home.lab, member)).balance
        assert balance.posted.cents == 2000 - view.bill.captured.cents
        assert balance.held.cents == 0
        assert not await home.store.verify()


async def test_the_next_job_waits_until_a_person_clears_the_bed(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member()
        await home.open()
        await home.job(member)
        second = await home.job(member)
        await home.clock.advance(4000)

        waiting = await report.explain(home.lab, member, second.id)
        assert waiting.job.job.state is JobState.QUEUED
        assert waiting.job.place == 1
        assert [no.rule for _machine, noes in waiting.machines for no in noes] == ["bed"]

        await act.clear_bed(home.lab, home.tech, ada.id)
        await home.clock.advance(1000)
        assert (await home.now(second)).state is JobState.DONE
        assert len(home.worlds[ada.id].starts) == 2


async def test_a_machine_with_an_unknown_bed_gets_nothing(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada", bed=Bed.UNKNOWN)
        await home.open()
        job = await home.job(await home.member())
        await home.clock.advance(4000)
        assert (await home.now(job)).state is JobState.QUEUED
        assert not home.worlds[ada.id].starts


async def test_a_jam_is_the_houses_fault_and_the_job_runs_again_under_the_same_hold(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member(cents=2000)
        await home.open()
        job = await home.job(member)
        held = (await report.account(home.lab, member)).balance.held
        await home.clock.advance(300)
        home.worlds[ada.id].jam()
        await home.clock.advance(10)

        again = await home.now(job)
        assert (again.state, again.failed_runs) == (JobState.QUEUED, 1)
        assert (await report.account(home.lab, member)).balance.held == held
        await act.clear_bed(home.lab, home.tech, ada.id)
        await home.clock.advance(1000)
        view = await report.job_view(home.lab, member, job.id)
        assert [run.cause for run in view.runs] == [Cause.MACHINE_FAULT, None]
        assert view.job.state is JobState.DONE


async def test_after_three_lost_runs_a_person_decides(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member()
        await home.open()
        job = await home.job(member)
        for _ in range(3):
            await home.clock.advance(300)
            home.worlds[ada.id].jam()
            await home.clock.advance(10)
            await act.clear_bed(home.lab, home.tech, ada.id)
        stuck = await home.now(job)
        assert stuck.state is JobState.ATTENTION
        assert "machine_fault" in stuck.reason
        await act.give_up(home.lab, home.tech, job.id)
        assert (await report.account(home.lab, member)).balance.held.cents == 0


async def test_a_member_who_cancels_in_mid_print_pays_what_was_used(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        await home.machine("Ada")
        member = await home.member(cents=5000)
        await home.open()
        job = await home.job(member, "part-6000s-50000mg.stl")
        await home.clock.advance(3000)
        await act.cancel(home.lab, member, job.id)
        await home.clock.advance(60)

        view = await report.job_view(home.lab, member, job.id)
        assert view.job.state is JobState.CANCELLED
        assert [run.cause for run in view.runs] == [Cause.MEMBER_CANCEL]
        assert view.bill is not None
        assert 0 < view.bill.captured.cents < view.quote.total.cents
        assert (await report.account(home.lab, member)).balance.held.cents == 0


async def test_cancelling_before_the_start_is_free(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        member = await home.member(cents=5000)
        job = await home.job(member)
        cancelled = await act.cancel(home.lab, member, job.id)
        assert cancelled.state is JobState.CANCELLED
        balance = (await report.account(home.lab, member)).balance
        assert (balance.posted.cents, balance.held.cents) == (5000, 0)


async def test_a_start_whose_answer_is_lost_is_never_sent_again(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        world = home.worlds[ada.id]
        world.troubles = Troubles(loses_the_answer=True)
        member = await home.member()
        await home.open()
        job = await home.job(member)
        await home.clock.advance(2000)
        assert (await home.now(job)).state is JobState.DONE
        assert len(world.starts) == 1


async def test_a_start_that_proves_nothing_is_unclear_until_the_machine_proves_what_happened(
    tmp_path: Path,
) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        home.worlds[ada.id].troubles = Troubles(answers_500=True)
        member = await home.member()
        await home.open()
        job = await home.job(member)
        await home.clock.advance(5)
        view = await report.job_view(home.lab, member, job.id)
        assert [run.state for run in view.runs] == [RunState.UNCLEAR]

        await home.clock.advance(
            60
        )  # a simulated machine remembers everything: it proves that it never began
        view = await report.job_view(home.lab, member, job.id)
        assert [run.cause for run in view.runs] == [Cause.NEVER_STARTED]
        assert (view.job.state, view.runs[0].usage) == (JobState.QUEUED, NOTHING)


async def test_a_machine_that_forgot_leaves_the_run_unclear_until_a_person_decides(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member()
        await home.open()
        job = await home.job(member)
        await home.clock.advance(120)
        home.worlds[ada.id].lose_power()
        await home.clock.advance(100_000)
        view = await report.job_view(home.lab, member, job.id)
        assert [run.state for run in view.runs] == [RunState.UNCLEAR]
        assert view.job.state is JobState.ACTIVE
        with pytest.raises(Conflict):
            await act.clear_bed(home.lab, home.tech, ada.id)

        await act.decide_run(home.lab, home.tech, view.runs[0].id, act.Verdict.FAILED)
        await act.clear_bed(home.lab, home.tech, ada.id)
        await home.clock.advance(1000)
        assert (await home.now(job)).state is JobState.DONE
        assert len(home.worlds[ada.id].starts) == 1  # it has forgotten the first


async def test_a_lost_link_neither_kills_nor_bills_twice(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member()
        await home.open()
        job = await home.job(member)
        await home.clock.advance(120)
        home.worlds[ada.id].vanish(300)
        await home.clock.advance(60)
        view = await report.job_view(home.lab, member, job.id)
        assert [run.state for run in view.runs] == [RunState.RUNNING]
        assert view.machines[ada.id].link is Link.OFFLINE
        await home.clock.advance(1000)
        assert (await home.now(job)).state is JobState.DONE
        assert len(home.worlds[ada.id].starts) == 1


async def test_our_own_restart_in_mid_print_changes_nothing(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        member = await home.member()
        await home.open()
        job = await home.job(member)
        for _ in range(5):
            await home.clock.advance(60)
            await home.die()
            await home.clock.advance(20)
            await home.open()
        await home.clock.advance(1000)
        view = await report.job_view(home.lab, member, job.id)
        assert (view.job.state, len(view.runs)) == (JobState.DONE, 1)
        assert len(home.worlds[ada.id].starts) == 1


async def test_a_print_started_by_hand_makes_the_bed_occupied(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        ada = await home.machine("Ada")
        await home.open()
        home.worlds[ada.id].start_by_hand()
        await home.clock.advance(2000)
        (view,) = await report.fleet(home.lab, home.tech)
        assert view.machine.bed is Bed.OCCUPIED


async def test_when_the_sliced_price_is_above_the_hold_the_member_is_asked_again(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        member = await home.member(cents=50_000)
        job = await home.job(member, "part-600s-sliced90000s-5000mg.stl")
        assert job.state is JobState.QUOTED
        assert (await report.account(home.lab, member)).balance.held.cents == 0
        dearer = await report.quote_of(home.lab, member, job.quote_id)
        assert dearer.total.cents > 5000
        assert str(dearer.total.cents) in job.reason

        again, _created = await accept(home.lab, member, dearer.id)
        assert again.id == job.id
        assert (await home.now(job)).state is JobState.QUEUED
        assert (await report.account(home.lab, member)).balance.held == dearer.hold


async def test_without_a_slicer_the_job_says_so_and_a_technician_can_retry(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        job = await home.job(await home.member(), "noslicer.stl")
        assert job.state is JobState.ATTENTION
        assert "slicer" in job.reason.lower()


async def test_what_the_slicer_refuses_is_rejected_and_costs_nothing(tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        member = await home.member(cents=5000)
        job = await home.job(member, "toocomplex.stl")
        assert job.state is JobState.REJECTED
        assert (await report.account(home.lab, member)).balance.available.cents == 5000
