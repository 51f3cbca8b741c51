"""Établi and a real OctoPrint, each killed at every step of a run: never a second start, never a lost or
double bill."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.run import RunState
from orchestrator.flow import act
from tests.conftest import OctoPrints
from tests.peers.lab import LabProcess, lab_process, standby_of

pytestmark = pytest.mark.timeout(180)

RECOVERS = ("claimed", "staging", "staged", "start_answered", "running", "ending", "ended")
"""Killed there, the job is printed and paid all the same, with no person asked."""


async def paid_once(lab: LabProcess, job_id: object) -> None:
    """One capture, nothing held, books in balance."""
    assert not await lab.store.verify()
    balance = await lab.store.read(lambda unit: unit.balance(lab.member.account_id))
    records = await lab.store.read(lambda unit: unit.usage_records(0, 100))
    assert balance.held.cents == 0
    assert 0 < 100_000 - balance.posted.cents <= 1500
    finished = [run for _seq, run, _job in records if run.state is RunState.FINISHED]
    assert [run.job_id for run in finished] == [job_id]


@pytest.mark.parametrize("point", RECOVERS)
async def test_killed_at_any_other_step_the_run_recovers_and_starts_once(
    point: str, octoprints: OctoPrints, tmp_path: Path
) -> None:
    octoprint = await octoprints()
    async with lab_process(tmp_path / "lab", octoprint) as lab:
        job = await lab.job()
        await lab.start(crash_at=point)
        await lab.dies()
        await lab.start()
        await lab.becomes(job, "done")
        assert list(lab.starts().values()) == [1]
        assert len(await lab.runs(job)) == 1
        await paid_once(lab, job.id)


async def test_killed_between_intent_and_start_it_is_unclear_and_never_started_by_itself(
    octoprints: OctoPrints, tmp_path: Path
) -> None:
    octoprint = await octoprints()
    async with lab_process(tmp_path / "lab", octoprint) as lab:
        job = await lab.job()
        await lab.start(crash_at="start_sent")
        await lab.dies()
        await lab.start()
        await lab.becomes(job, "unclear")
        assert not lab.starts()

        (run,) = await lab.runs(job)
        await act.decide_run(lab.lab, lab.tech, run.id, act.Verdict.NEVER_STARTED)
        await lab.clear_bed()
        await lab.kill()
        await lab.start()
        await lab.becomes(job, "done")
        assert list(lab.starts().values()) == [1]
        await paid_once(lab, job.id)


async def test_octoprint_killed_in_mid_print_leaves_no_trace_so_a_person_decides(
    octoprints: OctoPrints, tmp_path: Path
) -> None:
    octoprint = await octoprints()
    async with lab_process(tmp_path / "lab", octoprint) as lab:
        job = await lab.job()
        await lab.start()
        await lab.becomes(job, "running")
        await octoprint.kill()
        await octoprint.start()
        await lab.becomes(job, "unclear")
        (run,) = await lab.runs(job)
        assert lab.starts()[run.remote_name] == 1

        await act.decide_run(lab.lab, lab.tech, run.id, act.Verdict.FAILED)
        await lab.clear_bed()
        await lab.kill()
        await lab.start()
        await lab.becomes(job, "done")
        assert sorted(lab.starts().values()) == [1, 1]
        await paid_once(lab, job.id)


async def test_on_postgresql_a_fleet_process_of_its_own_hears_what_a_person_decides_elsewhere(
    octoprints: OctoPrints, postgres_url: str, tmp_path: Path
) -> None:
    octoprint = await octoprints()
    async with lab_process(tmp_path / "lab", octoprint, postgres_url) as lab:
        job = await lab.job()
        await lab.start(crash_at="start_sent")
        await lab.dies()
        await lab.start()
        await lab.becomes(job, "unclear")
        (run,) = await lab.runs(job)
        await act.decide_run(lab.lab, lab.tech, run.id, act.Verdict.NEVER_STARTED)
        await lab.clear_bed()
        await lab.becomes(job, "done")
        assert list(lab.starts().values()) == [1]
        await paid_once(lab, job.id)


async def test_of_two_fleet_processes_for_one_site_only_one_is_active(
    octoprints: OctoPrints, postgres_url: str, tmp_path: Path
) -> None:
    octoprint = await octoprints()
    async with (
        lab_process(tmp_path / "lab", octoprint, postgres_url) as lab,
        standby_of(lab) as standby,
    ):
        await lab.start()
        await lab.first_sight()
        await standby.start()
        job = await lab.job()
        await lab.becomes(job, "running")
        await lab.kill()
        await lab.becomes(job, "done")
        assert list(lab.starts().values()) == [1]
        await paid_once(lab, job.id)
