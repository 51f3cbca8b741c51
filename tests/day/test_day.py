"""What must hold on every day at the lab, whatever happens on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.domain.event import SYSTEM
from orchestrator.domain.job import ENDED, JobState
from orchestrator.domain.ledger import HOUSE_ACCOUNT
from orchestrator.domain.run import RunState
from tests.day.day import Day, all_events
from tests.flow.home import a_home

SEEDS = range(50)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_day_at_the_lab(seed: int, tmp_path: Path) -> None:
    async with a_home(tmp_path) as home:
        day = Day(home, seed)
        await day.live()
        await every_run_started_at_most_once(day)
        await no_start_without_a_bed_that_a_person_cleared(day)
        await every_job_ended_or_waits_with_a_reason(day)
        await every_finished_run_is_billed_once_and_every_hold_is_settled(day)
        assert not await home.store.verify()
        assert len(day.job_ids) == 200
        assert day.deaths > 0


async def every_run_started_at_most_once(day: Day) -> None:
    assert sum(day.starts.values()) > 100
    assert max(day.starts.values()) == 1


async def no_start_without_a_bed_that_a_person_cleared(day: Day) -> None:
    """Each start uses up one clearing: by a person, or given back by a start that was refused before any effect."""
    clear: dict[object, bool] = {}
    for event in await all_events(day.home):
        if event.topic != "machine.bed_changed":
            continue
        if event.data["reason"] == "start_sent":
            assert clear.get(event.machine_id, True)  # the first morning's beds are clear
            clear[event.machine_id] = False
        elif event.data["to"] == "clear":
            assert event.actor != SYSTEM or event.data["reason"] == "start_refused"
            clear[event.machine_id] = True
        else:
            clear[event.machine_id] = False


async def every_job_ended_or_waits_with_a_reason(day: Day) -> None:
    for job_id in day.job_ids:
        job = await day.home.store.read(lambda u, i=job_id: u.job(i))
        assert job is not None
        if job.state in ENDED:
            continue
        if job.state in {JobState.ATTENTION, JobState.QUOTED}:
            assert job.reason
        elif job.state is JobState.ACTIVE:
            runs = await day.home.store.read(lambda u, i=job_id: u.runs_of(i))
            assert runs[-1].ended_at is None
        else:
            assert job.state is JobState.QUEUED


async def every_finished_run_is_billed_once_and_every_hold_is_settled(day: Day) -> None:
    home, outcomes, captured = day.home, Counter[str](), 0
    for job_id in day.job_ids:
        job = await home.store.read(lambda u, i=job_id: u.job(i))
        bill = await home.store.read(lambda u, i=job_id: u.bill(i))
        runs = await home.store.read(lambda u, i=job_id: u.runs_of(i))
        assert job is not None
        outcomes[job.state.value] += 1
        held = await home.store.read(lambda u, q=job.quote_id: u.held_for(q))
        finished = [run for run in runs if run.state is RunState.FINISHED]
        assert len(finished) <= 1
        if job.state is JobState.DONE:
            assert len(finished) == 1
            assert bill is not None
        if job.state in ENDED:
            assert held == 0
            captured += bill.captured.cents if bill else 0
        for run in runs:
            assert (run.ended_at is None) == (run.usage is None)
    balances = [await home.store.read(lambda u, m=m: u.balance(m.account_id)) for m in day.members]
    assert sum(100_000 - balance.posted.cents for balance in balances) == captured
    assert HOUSE_ACCOUNT not in {m.account_id for m in day.members}
    assert outcomes["done"] > 100
