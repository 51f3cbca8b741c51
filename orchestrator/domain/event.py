"""One row of the event log: what changed, when, by whom. Pages, SSE, webhooks, MQTT and metrics all read
these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from orchestrator.domain.job import JobState

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

JOB_TOPICS: Mapping[JobState, str] = {
    JobState.QUOTED: "job.quoted",
    JobState.PREPARING: "job.preparing",
    JobState.QUEUED: "job.queued",
    JobState.ACTIVE: "job.claimed",
    JobState.DONE: "job.finished",
    JobState.REJECTED: "job.rejected",
    JobState.ATTENTION: "job.attention",
    JobState.CANCELLED: "job.cancelled",
    JobState.FAILED: "job.failed",
}
"""Topic of a job's move into a state; a run's is `run.<state>`."""

SYSTEM = "system"
"""The actor of what Établi does by itself; a person's is `member:<id>`."""


@dataclass(frozen=True, kw_only=True)
class Event:
    topic: str
    at: datetime
    actor: str
    data: Mapping[str, Json] = field(default_factory=dict)
    member_id: UUID | None = None  # whose job it is about; decides who may see it
    job_id: UUID | None = None
    run_id: UUID | None = None
    machine_id: UUID | None = None
    seq: int = 0  # given by the store, ascending in commit order
