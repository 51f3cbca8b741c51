"""The tables of what comes from outside and goes there: reservations, hours, demand, forecasts, sources, webhooks."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, UniqueConstraint, Uuid

from orchestrator.domain.reservation import Purpose, ReservationState
from orchestrator.domain.source import SourceKind
from orchestrator.domain.webhook import DeliveryState
from orchestrator.store.columns import an_id, at, count, enum, flag, json_, metadata, one_of, to, words

# --- reservations and hours ---------------------------------------------------------------------------------------

calendar = Table(
    "calendar",
    metadata,
    Column("site", String(64), primary_key=True),
    words("zone"),
    json_("openings"),
    json_("holidays"),
    flag("unattended"),
    Column("version", Integer(), nullable=False),
)

reservation = Table(
    "reservation",
    metadata,
    an_id(),
    Column("system", String(64), nullable=False),
    Column("external_id", String(200), nullable=False),
    Column("site", String(64), nullable=False),
    to("machine_id", "machine.id", null=True),
    Column("machine_class", String(64), nullable=True),
    enum("purpose"),
    at("starts_at"),
    at("ends_at"),
    at("created_at"),
    at("changed_at"),
    to("member_id", "member.id", null=True),
    to("organisation_id", "organisation.id", null=True),
    enum("state"),
    at("used_at", null=True),
    words("note"),
    Column("version", Integer(), nullable=False),
    UniqueConstraint("system", "external_id"),
    CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
    one_of("purpose", Purpose),
    one_of("state", ReservationState),
    Index("ix_reservation_ends_at_starts_at", "ends_at", "starts_at"),
)

source = Table(
    "source",
    metadata,
    an_id(),
    enum("kind"),
    Column("system", String(64), nullable=False, unique=True),
    words("url"),
    words("secret"),
    Column("site", String(64), nullable=False),
    json_("machines"),
    Column("interval_seconds", Integer(), nullable=False),
    flag("active"),
    at("polled_at", null=True),
    at("due_at", null=True),
    words("etag"),
    count("cursor"),
    flag("charges"),
    Column("failures", Integer(), nullable=False),
    words("note"),
    Column("version", Integer(), nullable=False),
    one_of("kind", SourceKind),
)

# --- the queue, looked at ----------------------------------------------------------------------------------------

demand = Table(
    "demand",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("subject", Uuid(), primary_key=True),
    Column("rule", String(32), primary_key=True),
    Column("machine_class", String(64), primary_key=True),
    Column("public", String(32), nullable=False),
)
"""What was refused: once a day for a job (or for a member who only asked), a rule and a machine class."""

foretold = Table(
    "foretold",
    metadata,
    to("job_id", "job.id", primary_key=True),
    at("at", index=True),
    at("start_p50"),
    at("start_p90"),
    at("end_p50"),
    at("end_p90"),
)
"""The forecast a job was given when it was first queued; what happened, its runs say."""

# --- webhooks ----------------------------------------------------------------------------------------------------

webhook = Table(
    "webhook",
    metadata,
    an_id(),
    to("owner_id", "member.id"),
    words("url"),
    json_("topics"),
    words("secret"),
    at("created_at"),
    words("hint"),
    words("old_secret"),
    at("old_until", null=True),
    flag("active"),
    count("cursor"),
    at("failing_since", null=True),
    words("note"),
    Column("version", Integer(), nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", String(80), primary_key=True),
    to("webhook_id", "webhook.id"),
    count("seq"),
    words("topic"),
    words("body"),
    at("created_at"),
    at("due_at"),
    Column("job_id", Uuid(), nullable=True),
    enum("state"),
    Column("tries", Integer(), nullable=False),
    Column("tries_before", Integer(), nullable=False),
    at("ended_at", null=True),
    Column("status", Integer(), nullable=True),
    words("words"),
    one_of("state", DeliveryState),
    Index("ix_delivery_webhook_id_seq", "webhook_id", "seq"),
    Index("ix_delivery_webhook_id_state_due_at", "webhook_id", "state", "due_at"),
    Index("ix_delivery_job_id", "job_id"),
    Index("ix_delivery_ended_at", "ended_at"),
)
