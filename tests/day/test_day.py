"""What must hold on every day at the lab, whatever happens on it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from orchestrator.domain.event import SYSTEM
from orchestrator.domain.job import ENDED, Job, JobState
from orchestrator.domain.run import Run, RunState
from orchestrator.domain.tariff import Bill
from orchestrator.ports import Unit
from tests.day.day import Day, all_events
from tests.flow.home import START_CENTS, a_home

SEEDS = range(int(os.environ.get("ETABLI_DAY_SEEDS", "12")))
"""Every run lives a dozen days; `ETABLI_DAY_SEEDS=50 ./etabli test tests/day` lives fifty."""


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
    """Each start uses up one clearing: by a person, or given back by a start that was refused before any
    effect."""
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


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the database says of one job in the evening."""

    job: Job
    runs: Sequence[Run]
    bill: Bill | None
    held_cents: int


async def stories(day: Day) -> list[Story]:
    async def work(unit: Unit) -> list[Story]:
        return [await story(unit, job_id) for job_id in day.job_ids]

    return await day.home.store.read(work)


async def story(unit: Unit, job_id: UUID) -> Story:
    job = await unit.job(job_id)
    assert job is not None
    return Story(
        job=job,
        runs=await unit.runs_of(job_id),
        bill=await unit.bill(job_id),
        held_cents=await unit.held_for(job.quote_id),
    )


async def every_job_ended_or_waits_with_a_reason(day: Day) -> None:
    for told in await stories(day):
        if told.job.state in {JobState.ATTENTION, JobState.QUOTED}:
            assert told.job.reason
        elif told.job.state is JobState.ACTIVE:
            assert told.runs[-1].ended_at is None
        else:
            assert told.job.state in ENDED | {JobState.QUEUED}


async def every_finished_run_is_billed_once_and_every_hold_is_settled(day: Day) -> None:
    outcomes, captured = Counter[JobState](), 0
    for told in await stories(day):
        outcomes[told.job.state] += 1
        finished = [run for run in told.runs if run.state is RunState.FINISHED]
        assert len(finished) == (told.job.state is JobState.DONE) or told.job.state is JobState.ATTENTION
        assert all((run.ended_at is None) == (run.usage is None) for run in told.runs)
        if told.job.state in ENDED:
            assert told.held_cents == 0
            assert told.bill is not None or told.job.state is JobState.CANCELLED
            captured += told.bill.captured.cents if told.bill else 0
    assert outcomes[JobState.DONE] > 100
    assert await paid(day) == captured


async def paid(day: Day) -> int:
    """Cents that members no longer have."""

    async def work(unit: Unit) -> int:
        balances = [await unit.balance(member.account_id) for member in day.members]
        return sum(START_CENTS - balance.posted.cents for balance in balances)

    return await day.home.store.read(work)
