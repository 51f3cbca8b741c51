"""A Webhook: an address that is told what happens, signed, in order per job, at least once; and its deliveries.

Owns what of our event log is published and under which name, what a message says, how it is signed (Standard Webhooks
1.0) and when it is tried again. Refuses to know how a message travels.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from uuid import UUID

from orchestrator.domain.event import JOB_TOPICS, Event, Json
from orchestrator.domain.machine import Link
from orchestrator.domain.units import Money

WEBHOOKS_MAX = 20  # of one owner
OLD_SECRET_FOR = timedelta(hours=24)  # how long the secret before signs too
GIVEN_UP_AFTER = timedelta(days=5)  # of nothing but failures: the webhook is switched off
DELAYS_SECONDS = (5, 30, 120, 600, 1800, 7200, 21600, 43200, 86400, 86400)
"""Between one try and the next; with the last the message is given up, after about three days."""
TRIES_MAX = len(DELAYS_SECONDS) + 1
DELAY_SECONDS_MAX = 86400
JITTER = 0.2
GONE = 410
ASKS_TO_WAIT = frozenset({429, 503})


@dataclass(frozen=True, kw_only=True)
class Webhook:
    id: UUID
    owner_id: UUID  # whose webhook it is; it is told what that member may see
    url: str
    topics: tuple[str, ...]  # published types, as `job.finished`, or a family, as `job.*`; empty: all
    secret: str  # sealed, never shown again
    created_at: datetime
    hint: str = ""  # the last four signs of the secret, by which people tell one from another
    old_secret: str = ""  # sealed; signs beside the new one, until `old_until`
    old_until: datetime | None = None
    active: bool = True
    cursor: int = 0  # the last event that deliveries were made of
    failing_since: datetime | None = None
    note: str = ""  # why it is not active, where nobody switched it off: `gone`, `failing`, `owner`
    version: int = 1

    def wants(self, type_: str) -> bool:
        return not self.topics or any(covers(topic, type_) for topic in self.topics)


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
    topic: str  # its published type
    body: str
    created_at: datetime
    due_at: datetime
    job_id: UUID | None = None
    state: DeliveryState = DeliveryState.PENDING
    tries: int = 0  # ever
    tries_before: int = 0  # of them, before it was last replayed
    ended_at: datetime | None = None
    status: int | None = None  # the last answer's; None: there was none
    words: str = ""  # why the last try failed


# --- what is published --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of what is told outside: from which topic of ours, under which name, and what it says."""

    topic: str  # of the event log; `x.*`: every topic of that family, under its own name
    type: str
    says: str
    when: Callable[[Event], bool] = field(default=lambda event: True)


def _from(*states: str) -> Callable[[Event], bool]:
    return lambda event: event.data.get("from") in states


def _now(*links: Link) -> Callable[[Event], bool]:
    """The link came to be one of these, and was none of them."""
    return lambda event: event.data.get("link") in links and event.data.get("link_was") not in links


PUBLISHED: tuple[Published, ...] = (
    Published(topic="job.quoted", type="job.quoted", says="A job waits for its member to accept a price."),
    Published(topic="job.queued", type="job.queued", says="It is prepared and waits for a machine."),
    Published(
        topic="run.running",
        type="job.started",
        says="A machine works on it.",
        when=lambda event: event.data.get("from") != "paused",
    ),
    Published(topic="run.paused", type="job.paused", says="The machine pauses."),
    Published(topic="run.running", type="job.resumed", says="The machine goes on.", when=_from("paused")),
    Published(topic="job.finished", type="job.finished", says="It is made."),
    Published(topic="job.failed", type="job.failed", says="It could not be made; nothing more is tried."),
    Published(topic="job.cancelled", type="job.cancelled", says="Somebody cancelled it."),
    Published(topic="job.rejected", type="job.rejected", says="It cannot be made as asked."),
    Published(topic="job.attention", type="job.attention", says="A person must decide how it goes on."),
    Published(topic="job.collected", type="job.collected", says="It was fetched."),
    Published(topic="run.unclear", type="run.unclear", says="Nobody knows whether it was made."),
    Published(topic="usage.recorded", type="usage.recorded", says="What a run used, once and for all."),
    Published(topic="hold.placed", type="hold.placed", says="The maximum price is set aside."),
    Published(topic="hold.captured", type="hold.captured", says="Of it, the price was taken."),
    Published(topic="hold.captured", type="charge.created", says="The job costs this."),
    Published(topic="hold.released", type="hold.released", says="What is left of it is free again."),
    Published(topic="charge.adjusted", type="charge.adjusted", says="A charge was waived or refunded."),
    Published(
        topic="machine.state_changed",
        type="machine.up",
        says="The machine answers.",
        when=_now(Link.ONLINE),
    ),
    Published(
        topic="machine.state_changed",
        type="machine.down",
        says="The machine does not answer, or refuses us.",
        when=_now(Link.OFFLINE, Link.AUTH_FAILED, Link.REJECTED),
    ),
    Published(topic="machine.bed_changed", type="machine.bed_changed", says="Its bed: clear or not."),
    Published(topic="machine.needs_person", type="machine.needs_person", says="Somebody must go there."),
    Published(topic="machine.maintenance_due", type="machine.maintenance_due", says="Maintenance is due."),
    Published(topic="material.low", type="material.low", says="A material runs out."),
    Published(topic="booking.*", type="booking.*", says="`booking.conflict`: a reservation and a job cross."),
    Published(topic="reservation.*", type="reservation.*", says="A reservation was made or changed."),
    Published(
        topic="entitlement.*", type="entitlement.*", says="A right to use machines came, went or ends."
    ),
    Published(topic="invoice.issued", type="invoice.issued", says="An invoice was issued."),
    Published(topic="credit_note.issued", type="credit_note.issued", says="A credit note was issued."),
    Published(topic="report.frozen", type="report.frozen", says="A report will not change any more."),
    Published(topic="webhook.disabled", type="webhook.disabled", says="A webhook was switched off."),
)
TEST_TYPE = "webhook.test"
TYPES: tuple[str, ...] = (*dict.fromkeys(row.type for row in PUBLISHED), TEST_TYPE)
FAMILIES = frozenset(f"{name.partition('.')[0]}.*" for name in TYPES)
_STATE_OF = {topic: state.value for state, topic in JOB_TOPICS.items()}


def covers(pattern: str, name: str) -> bool:
    return pattern == name or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


def is_topic(text: str) -> bool:
    """May a webhook ask for it: a published type, one of a family that is published whole, or a whole family."""
    return text in FAMILIES or any(covers(name, text) for name in TYPES)


def types_of(event: Event) -> tuple[str, ...]:
    """The names under which this event is told outside; none for most."""
    rows = (row for row in PUBLISHED if covers(row.topic, event.topic) and row.when(event))
    return tuple(event.topic if row.type.endswith(".*") else row.type for row in rows)


def data_of(
    event: Event,
    machine: Mapping[str, Json] | None = None,
    outside: Iterable[tuple[str, str]] = (),
) -> dict[str, Json]:
    """What a message says: ids, states, amounts as Money. `outside`: the member's names in other systems."""
    data: dict[str, Json] = {"seq": event.seq}
    for name in ("job_id", "run_id", "machine_id", "member_id"):
        if (value := getattr(event, name)) is not None:
            data[name] = str(value)
    if outside:
        data["member_external_ids"] = [{"system": system, "id": named} for system, named in outside]
    if event.topic in _STATE_OF:
        data["job_state"] = _STATE_OF[event.topic]
    elif event.topic.startswith("run.") and event.run_id is not None:
        data["run_state"] = event.topic.removeprefix("run.")
    if machine is not None:
        data["machine"] = dict(machine)
    for name, value in event.data.items():
        if name.endswith("_cents") and type(value) is int:
            data[name.removesuffix("_cents")] = dict(Money(value).to_json())
        else:
            data.setdefault(name, value)
    return data


def body_of(type_: str, at: datetime, data: Mapping[str, Json]) -> str:
    """The message as it is sent; ASCII, so that its bytes are the same everywhere."""
    when = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({"type": type_, "timestamp": when, "data": data}, separators=(",", ":"))


def message_id(webhook_id: UUID, seq: int, place: int) -> str:
    """The same for the same event, whoever makes it: so it cannot be made twice. `place` among its names."""
    return f"msg_{webhook_id.hex}_{seq}" + (f"_{place}" if place else "")


# --- signing ------------------------------------------------------------------------------------------------------

SECRET_PREFIX = "whsec_"  # a prefix, no secret
SECRET_BYTES = 32


def secret_of(key: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """Raises ValueError for what is no secret of this form."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as wrong:
        raise ValueError("no webhook secret") from wrong


def signed(secrets: Iterable[str], id_: str, at_seconds: int, body: str) -> str:
    """The `webhook-signature` header: one signature a secret, so that a receiver may know either."""
    said = f"{id_}.{at_seconds}.{body}".encode()
    marks = (hmac.new(key_of(secret), said, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(mark).decode()}" for mark in marks)


# --- trying again -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How one try went."""

    status: int | None = None  # None: no answer
    words: str = ""
    wait_seconds: int | None = None  # what the receiver asked for

    @property
    def good(self) -> bool:
        """A redirect is not: whoever moved tells us the new address."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        return self.status == GONE


def answered(status: int, retry_after: str, now: datetime) -> Tried:
    """An answer's status, with its Retry-After where it asks to wait: seconds, or a date."""
    wait = _seconds(retry_after.strip(), now) if status in ASKS_TO_WAIT else None
    return Tried(status=status, words="" if 200 <= status < 300 else f"HTTP {status}", wait_seconds=wait)


def _seconds(text: str, now: datetime) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0, round((aware - now).total_seconds()))


def after_try(delivery: Delivery, tried: Tried, at: datetime, chance: float) -> Delivery:
    """`chance` from 0 to 1 spreads the next tries of many, so that they do not all come back at once."""
    tries = delivery.tries + 1
    seen = replace(delivery, tries=tries, status=tried.status, words=tried.words[:300])
    if tried.good:
        return replace(seen, state=DeliveryState.DELIVERED, ended_at=at)
    failed = tries - delivery.tries_before
    if tried.gone or failed >= TRIES_MAX:
        return replace(seen, state=DeliveryState.DEAD, ended_at=at)
    wait = DELAYS_SECONDS[failed - 1] * (1 + JITTER * chance)
    wait = min(max(wait, tried.wait_seconds or 0), DELAY_SECONDS_MAX)
    return replace(seen, due_at=at + timedelta(seconds=wait))


def replayed(delivery: Delivery, at: datetime) -> Delivery:
    """Once more from the beginning, the same message."""
    return replace(
        delivery, state=DeliveryState.PENDING, due_at=at, ended_at=None, tries_before=delivery.tries
    )
