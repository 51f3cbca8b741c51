"""A Job is a member's wish. This file owns its states and every way between them.

A Job never ends because a Run failed through no fault of the member: it goes back to the head of the queue
under the same hold. Only the member's cancel, an unprintable file, or a person's decision end it without a
result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from orchestrator.domain.process import Making
from orchestrator.domain.states import Table, step


class JobState(StrEnum):
    QUOTED = "quoted"  # there is a price the member has not accepted
    PREPARING = "preparing"  # hold placed, being sliced
    QUEUED = "queued"  # waits for a machine
    ACTIVE = "active"  # a Run has it
    DONE = "done"
    REJECTED = "rejected"  # cannot be made as it is
    ATTENTION = "attention"  # a person must decide
    CANCELLED = "cancelled"
    FAILED = "failed"  # a person gave it up


class Priority(StrEnum):
    """A job's class. Only the staff, or a booking system, gives another than `standard`."""

    LOW = "low"  # fills the holes
    STANDARD = "standard"
    TEACHING = "teaching"  # a class or a workshop with a date
    URGENT = "urgent"  # the lab itself: spare parts, repairs


CLASSES: Mapping[Priority, float] = MappingProxyType(
    {Priority.LOW: 0.0, Priority.STANDARD: 1 / 3, Priority.TEACHING: 2 / 3, Priority.URGENT: 1.0}
)
"""What a class is worth beside the highest."""


class JobEvent(StrEnum):
    ACCEPTED = "accepted"
    PREPARED = "prepared"
    ABOVE_HOLD = "above_hold"  # the sliced estimate prices above the hold
    REFUSED = "refused"  # the slicer or a check says it cannot be made
    STUCK = "stuck"  # we cannot go on by ourselves
    CLAIMED = "claimed"
    RUN_FINISHED = "run_finished"
    RUN_LOST = "run_lost"  # the house's fault: back to the head of the queue
    CANCELLED = "cancelled"
    RETRIED = "retried"
    GIVEN_UP = "given_up"
    SETTLED = "settled"  # a technician accepts what a finished run is said to have used


TRANSITIONS: Table[JobState, JobEvent] = {
    JobState.QUOTED: {
        JobEvent.ACCEPTED: JobState.PREPARING,
        JobEvent.CANCELLED: JobState.CANCELLED,
    },
    JobState.PREPARING: {
        JobEvent.PREPARED: JobState.QUEUED,
        JobEvent.ABOVE_HOLD: JobState.QUOTED,
        JobEvent.REFUSED: JobState.REJECTED,
        JobEvent.STUCK: JobState.ATTENTION,
        JobEvent.CANCELLED: JobState.CANCELLED,
    },
    JobState.QUEUED: {
        JobEvent.CLAIMED: JobState.ACTIVE,
        JobEvent.STUCK: JobState.ATTENTION,
        JobEvent.CANCELLED: JobState.CANCELLED,
    },
    JobState.ACTIVE: {
        JobEvent.RUN_FINISHED: JobState.DONE,
        JobEvent.RUN_LOST: JobState.QUEUED,
        JobEvent.STUCK: JobState.ATTENTION,
        JobEvent.CANCELLED: JobState.CANCELLED,
    },
    JobState.ATTENTION: {
        JobEvent.RETRIED: JobState.PREPARING,
        JobEvent.CANCELLED: JobState.CANCELLED,
        JobEvent.GIVEN_UP: JobState.FAILED,
        JobEvent.SETTLED: JobState.DONE,
    },
    JobState.DONE: {},
    JobState.REJECTED: {},
    JobState.CANCELLED: {},
    JobState.FAILED: {},
}

ENDED = frozenset(state for state, ways in TRANSITIONS.items() if not ways)


def after(state: JobState, event: JobEvent) -> JobState:
    return step(TRANSITIONS, state, event)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A wish under a quote. `version` counts its changes and guards each of them (compare-and-set)."""

    id: UUID
    member_id: UUID
    account_id: UUID
    quote_id: UUID
    file_id: UUID
    process: Making
    quantity: int
    machine_class: str | None  # None: any machine that fits
    state: JobState
    version: int
    created_at: datetime
    queued_at: datetime | None = (
        None  # None until first queued; kept when requeued, so that it stays at the head
    )
    artifact: Artifact | None = None  # what the machine gets; None until prepared
    reason: str = ""  # why it is where it is, when that is not plain from the state
    failed_runs: int = 0
    cancel_requested: bool = False  # the member asked while a Run had it; the supervisor carries it out
    priority: Priority = Priority.STANDARD
    deadline: datetime | None = None  # when the member needs it; a wish, not a promise
    approved_by: UUID | None = None  # who of the staff agreed to the job of a supervised member


@dataclass(frozen=True, kw_only=True)
class CutArtifact:
    """What a prepared file for a laser or vinyl cutter has beside. Its release is bound to the file's sha256."""

    extension: str  # `.gcode`, `.rd`, `.plt`, `.svg`
    beam_seconds: int | None  # None: a knife
    cut_millimetres: int
    sheet_mm2: int
    sheet_material: str
    toolpath_sha256: str


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A prepared machine file (G-code), stored by its hash, and what the slicer says of it."""

    sha256: str
    size_bytes: int
    profile: str  # the machine profile it was made for; it fits no other
    material: str
    size_mm: tuple[int, int, int]  # of one copy, rounded up: what a work area must hold
    print_seconds: int
    filament_milligrams: int
    filament_micrometres: int
    curve: tuple[
        tuple[int, ...], ...
    ]  # (byte offset, filament in micrometres, planned seconds) so far, ascending; older ones lack the seconds
    slicer: str
    layers: int = 0  # 0: sliced before they were counted
    cut: CutArtifact | None = None  # None: printed
    nozzle_micrometres: int = 400  # that it was sliced for

    def milligrams_at(self, position_bytes: int) -> int:
        """Filament used when the machine had read `position_bytes` of the file; linear between the curve's
        points."""
        if not self.curve or self.filament_micrometres == 0:
            return 0
        return (
            self.filament_milligrams * _interpolate(self.curve, position_bytes) // self.filament_micrometres
        )

    def permille_at(self, position_bytes: int) -> int | None:
        """Share of the time that has passed there, in thousandths; None where the file's times are not known."""
        if not self.curve or len(self.curve[-1]) < 3 or self.curve[-1][2] == 0:
            return None
        return 1000 * _interpolate(self.curve, position_bytes, of=2) // self.curve[-1][2]


def _interpolate(curve: tuple[tuple[int, ...], ...], at: int, of: int = 1) -> int:
    before = curve[0]
    if at <= before[0]:
        return before[of] if at == before[0] else 0
    for point in curve[1:]:
        if at < point[0]:
            span = point[0] - before[0]
            return before[of] + (point[of] - before[of]) * (at - before[0]) // span
        before = point
    return before[of]
