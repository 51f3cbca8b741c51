"""A Run is one attempt at one Job on one Machine. This file owns its states and every way between them.

The machine is the truth: a Run moves only by what we committed to do (`SEND_START`) and by what was seen.
Machines skip states and links break, so "seen" events are legal from every state in which the machine may
have the file. `unclear` is left only by evidence from the machine or by a person, never by a timer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.states import Table, step
from orchestrator.domain.usage import Usage


class RunState(StrEnum):
    CLAIMED = "claimed"
    STAGING = "staging"
    STAGED = "staged"
    START_SENT = "start_sent"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNCLEAR = "unclear"


class RunEvent(StrEnum):
    STAGE = "stage"
    STAGED = "staged"
    SEND_START = "send_start"
    START_REFUSED = "start_refused"  # a documented refusal before any effect
    SEEN_RUNNING = "seen_running"
    SEEN_PAUSED = "seen_paused"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DOUBT = "doubt"


_ENDS = {
    RunEvent.FINISHED: RunState.FINISHED,
    RunEvent.FAILED: RunState.FAILED,
    RunEvent.CANCELLED: RunState.CANCELLED,
}
_NOT_STARTED_ENDS = {RunEvent.FAILED: RunState.FAILED, RunEvent.CANCELLED: RunState.CANCELLED}
_SEEN = {RunEvent.SEEN_RUNNING: RunState.RUNNING, RunEvent.SEEN_PAUSED: RunState.PAUSED}
_DOUBT = {RunEvent.DOUBT: RunState.UNCLEAR}

TRANSITIONS: Table[RunState, RunEvent] = {
    RunState.CLAIMED: {RunEvent.STAGE: RunState.STAGING} | _NOT_STARTED_ENDS,
    RunState.STAGING: {RunEvent.STAGED: RunState.STAGED} | _NOT_STARTED_ENDS,
    RunState.STAGED: {RunEvent.SEND_START: RunState.START_SENT} | _NOT_STARTED_ENDS,
    RunState.START_SENT: {RunEvent.START_REFUSED: RunState.STAGED} | _SEEN | _ENDS | _DOUBT,
    RunState.RUNNING: {RunEvent.SEEN_PAUSED: RunState.PAUSED} | _ENDS | _DOUBT,
    RunState.PAUSED: {RunEvent.SEEN_RUNNING: RunState.RUNNING} | _ENDS | _DOUBT,
    RunState.UNCLEAR: _SEEN | _ENDS,
    RunState.FINISHED: {},
    RunState.FAILED: {},
    RunState.CANCELLED: {},
}

ENDED = frozenset(state for state, ways in TRANSITIONS.items() if not ways)
ACTIVE = frozenset(RunState) - ENDED
"""At most one Run a machine and one a job is in these; the database refuses a second."""
BEFORE_START = frozenset({RunState.CLAIMED, RunState.STAGING, RunState.STAGED})
MAYBE_ON_METAL = ACTIVE - BEFORE_START
"""The machine may have begun: only its own evidence, or a person, says what happened."""


def after(state: RunState, event: RunEvent) -> RunState:
    return step(TRANSITIONS, state, event)


class Cause(StrEnum):
    """Why a Run did not finish. It decides who pays (billing reference, section 4)."""

    MACHINE_FAULT = "machine_fault"
    HOUSE_MATERIAL = "house_material"
    POWER = "power"
    SOFTWARE = "software"
    STAFF_ERROR = "staff_error"
    MEMBER_CANCEL = "member_cancel"
    STAFF_CANCEL = "staff_cancel"
    FILE_FAULT = "file_fault"
    NEVER_STARTED = "never_started"
    UNKNOWN = "unknown"


MEMBER_PAYS = frozenset({Cause.MEMBER_CANCEL})
"""All other causes are the house's: charged 0, and the job runs again under the same hold."""


@dataclass(frozen=True, kw_only=True)
class Run:
    id: UUID
    job_id: UUID
    machine_id: UUID
    token: str  # unique per run, ASCII; the file's name on the machine is this + extension
    state: RunState
    version: int
    claimed_at: datetime
    start_sent_at: datetime | None = None
    started_at: datetime | None = None  # first seen active
    ended_at: datetime | None = None
    start_tries: int = 0
    cause: Cause | None = None
    progress_permille: int = 0
    position_bytes: int | None = None
    note: str = ""  # the machine's own words, kept
    usage: Usage | None = None  # written once, with the end

    @property
    def remote_name(self) -> str:
        return f"{self.token}.gcode"


TOKEN_PREFIX = "fl-"


def run_token(run_id: UUID) -> str:
    """The run's name on the machine: `fl-` + 12 of the id's hex + 6 more; unique, ASCII, short enough for
    FAT and Bambu."""
    return f"{TOKEN_PREFIX}{run_id.hex[:12]}-{run_id.hex[-6:]}"
