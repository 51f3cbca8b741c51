"""A Webhook: an address that is told what happens, signed, in order per job, at least once; and its deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


@dataclass(frozen=True, kw_only=True)
class Webhook:
    id: UUID
    owner_id: UUID  # whose webhook it is; it is told what that member may see
    url: str
    topics: tuple[str, ...]  # published types, as `job.finished`; empty: all
    secret: str  # sealed, never shown again
    created_at: datetime
    active: bool = True
    cursor: int = 0  # the last event that deliveries were made of
    failing_since: datetime | None = None
    note: str = ""  # why it is not active, where nobody switched it off
    version: int = 1


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  # given up; a person may replay it


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message for one webhook. Its id and its body are the same in every try."""

    id: str  # `msg_…`: the `webhook-id` header, by which receivers drop duplicates
    webhook_id: UUID
    seq: int  # of the event
    topic: str
    body: str
    created_at: datetime
    due_at: datetime
    job_id: UUID | None = None
    state: DeliveryState = DeliveryState.PENDING
    tries: int = 0
    ended_at: datetime | None = None
    status: int | None = None  # the last answer's; None: there was none
    words: str = ""  # why the last try failed
