"""The state tables: complete, closed, and drawn as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.draw_states import drawing
from orchestrator.domain import job, run
from orchestrator.domain.errors import IllegalTransition
from orchestrator.domain.job import JobEvent, JobState
from orchestrator.domain.run import RunEvent, RunState

ROOT = Path(__file__).parents[2]


def test_every_job_state_has_a_row_and_every_event_is_used() -> None:
    assert set(job.TRANSITIONS) == set(JobState)
    assert {event for ways in job.TRANSITIONS.values() for event in ways} == set(JobEvent)


def test_every_run_state_has_a_row_and_every_event_is_used() -> None:
    assert set(run.TRANSITIONS) == set(RunState)
    assert {event for ways in run.TRANSITIONS.values() for event in ways} == set(RunEvent)


@pytest.mark.parametrize("state", list(RunState))
@pytest.mark.parametrize("event", list(RunEvent))
def test_a_run_event_that_the_table_does_not_know_is_refused(state: RunState, event: RunEvent) -> None:
    if event in run.TRANSITIONS[state]:
        assert run.after(state, event) in RunState
    else:
        with pytest.raises(IllegalTransition):
            run.after(state, event)


def test_nothing_leads_out_of_an_ended_run() -> None:
    assert {RunState.FINISHED, RunState.FAILED, RunState.CANCELLED} == run.ENDED


def test_a_start_is_only_sent_from_staged() -> None:
    senders = {state for state, ways in run.TRANSITIONS.items() if RunEvent.SEND_START in ways}
    assert senders == {RunState.STAGED}


def test_unclear_is_left_only_by_evidence_or_a_person_and_never_to_a_second_start() -> None:
    assert set(run.TRANSITIONS[RunState.UNCLEAR].values()) == {
        RunState.RUNNING,
        RunState.PAUSED,
        RunState.FINISHED,
        RunState.FAILED,
        RunState.CANCELLED,
    }


def test_a_run_can_become_unclear_from_every_state_after_the_start_was_sent() -> None:
    doubtful = {state for state, ways in run.TRANSITIONS.items() if RunEvent.DOUBT in ways}
    assert doubtful == run.MAYBE_ON_METAL - {RunState.UNCLEAR}


def test_an_ended_job_never_moves_again() -> None:
    assert {JobState.DONE, JobState.REJECTED, JobState.CANCELLED, JobState.FAILED} == job.ENDED


def test_a_member_can_cancel_from_every_state_that_is_not_ended() -> None:
    assert all(JobEvent.CANCELLED in job.TRANSITIONS[state] for state in set(JobState) - job.ENDED)


def test_the_drawn_page_is_what_the_tables_say() -> None:
    assert (ROOT / "docs" / "states.md").read_text() == drawing()
