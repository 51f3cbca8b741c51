"""The tables. The states they allow, and the two "only one at a time" rules, are read from the domain's own tables.

Those of reservations, sources and webhooks are in `booking_tables`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from orchestrator.domain.job import JobState, Priority
from orchestrator.domain.ledger import Book, EntryKind
from orchestrator.domain.machine import Activity, Bed, Kind, Link
from orchestrator.domain.member import Level, Public, Role
from orchestrator.domain.quote import EstimateSource
from orchestrator.domain.run import ACTIVE, Cause, RunState
from orchestrator.domain.usage import Quality, Source
from orchestrator.store.columns import (
    BIG,
    an_id,
    at,
    count,
    enum,
    flag,
    is_in,
    json_,
    metadata,
    one_of,
    to,
    words,
)

# --- people ------------------------------------------------------------------------------------------------------

member = Table(
    "member",
    metadata,
    an_id(),
    Column("email", Text(), nullable=False, unique=True),
    words("name"),
    enum("role"),
    Column("account_id", Uuid(), nullable=False, index=True),
    words("password_hash"),
    words("locale"),
    flag("active"),
    Column("public", String(32), nullable=False, server_default=Public.INDIVIDUAL.value),
    Column("organisation_id", Uuid(), nullable=True),
    at("active_until", null=True),
    Column("version", Integer(), nullable=False, server_default="1"),
    one_of("role", Role),
)

organisation = Table(
    "organisation",
    metadata,
    an_id(),
    words("name"),
    words("siren"),
    Column("shares", Integer(), nullable=False),
    Column("version", Integer(), nullable=False),
)

external = Table(
    "external",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("system", String(64), primary_key=True),
    Column("external_id", String(200), primary_key=True),
    Column("ours", Uuid(), nullable=False),
    Index("ix_external_kind_ours", "kind", "ours"),
)
"""How other systems name our members and organisations."""

session = Table(
    "session",
    metadata,
    Column("id_sha256", String(64), primary_key=True),
    to("member_id", "member.id"),
    at("created_at"),
    at("seen_at"),
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", String(64), primary_key=True),
    words("secret_sha256"),
    to("member_id", "member.id"),
    words("name"),
    json_("scopes"),
    at("created_at"),
    at("expires_at", null=True),
    at("revoked_at", null=True),
    at("used_at", null=True),
)

entitlement = Table(
    "entitlement",
    metadata,
    to("member_id", "member.id", primary_key=True),
    Column("machine_class", String(64), primary_key=True),
    at("until", null=True),
    Column("level", String(32), nullable=False, server_default=Level.AUTONOMOUS.value),
    Column("training", Text(), nullable=False, server_default=""),
    Column("version", Integer(), nullable=False, server_default="1"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    words("key"),
    at("at", index=True),
    Index("ix_attempt_key_at", "key", "at"),
)

# --- files, quotes, tariffs --------------------------------------------------------------------------------------

file = Table(
    "file",
    metadata,
    an_id(),
    to("owner_id", "member.id"),
    Column("sha256", String(64), nullable=False, index=True),
    words("name"),
    count("size_bytes"),
    at("created_at"),
    json_("analysis", null=True),
    json_("refusals", null=True),
    Index("ix_file_owner_id_created_at", "owner_id", "created_at"),
    Index(
        "files_to_analyse",
        "created_at",
        sqlite_where=text("analysis IS NULL AND refusals IS NULL"),
        postgresql_where=text("analysis IS NULL AND refusals IS NULL"),
    ),
)

tariff = Table(
    "tariff",
    metadata,
    Column("version", Integer(), primary_key=True, autoincrement=False),
    json_("rules"),
    at("published_at"),
)

quote = Table(
    "quote",
    metadata,
    an_id(),
    to("member_id", "member.id"),
    to("file_id", "file.id"),
    json_("process"),
    Column("quantity", Integer(), nullable=False),
    words("machine_class", null=True),
    words("profile"),
    Column("tariff_version", Integer(), ForeignKey("tariff.version"), nullable=False),
    json_("estimate"),
    json_("lines"),
    count("total_cents"),
    count("hold_cents"),
    Column("currency", String(3), nullable=False),
    at("created_at"),
    at("valid_until"),
    CheckConstraint("hold_cents >= 0", name="hold_not_negative"),
)

# --- jobs, runs, machines ----------------------------------------------------------------------------------------

job = Table(
    "job",
    metadata,
    an_id(),
    to("member_id", "member.id"),
    Column("account_id", Uuid(), nullable=False),
    to("quote_id", "quote.id", unique=True),
    to("file_id", "file.id"),
    json_("process"),
    Column("quantity", Integer(), nullable=False),
    words("machine_class", null=True),
    enum("state"),
    Column("version", Integer(), nullable=False),
    at("created_at"),
    at("queued_at", null=True),
    words("reason"),
    Column("failed_runs", Integer(), nullable=False),
    flag("cancel_requested"),
    json_("artifact", null=True),
    Column("artifact_sha256", String(64), nullable=True),
    json_("curve", null=True),
    Column("priority", String(32), nullable=False, server_default=Priority.STANDARD.value),
    at("deadline", null=True),
    Column("approved_by", Uuid(), nullable=True),
    one_of("state", JobState),
    Index("ix_job_created_at_id", "created_at", "id"),
    Index("ix_job_member_id_created_at_id", "member_id", "created_at", "id"),
    Index("ix_job_state_queued_at", "state", "queued_at"),
)

machine = Table(
    "machine",
    metadata,
    an_id(),
    Column("site", Text(), nullable=False, index=True),
    words("name"),
    enum("kind"),
    words("machine_class"),
    words("driver"),
    json_("abilities"),
    enum("material", null=True),
    Column("version", Integer(), nullable=False),
    enum("link"),
    enum("activity"),
    enum("bed"),
    words("held"),
    flag("maintenance"),
    words("note"),
    at("seen_at", null=True),
    Column("colour", String(32), nullable=True),
    Column("nozzle_micrometres", Integer(), nullable=False, server_default="400"),
    count("stock_milligrams", null=True),
    json_("connection"),
    one_of("kind", Kind),
    one_of("link", Link),
    one_of("activity", Activity),
    one_of("bed", Bed),
)

_ACTIVE = text(is_in("state", ACTIVE))

run = Table(
    "run",
    metadata,
    an_id(),
    to("job_id", "job.id", index=True),
    to("machine_id", "machine.id"),
    Column("token", Text(), nullable=False, unique=True),
    enum("state"),
    Column("version", Integer(), nullable=False),
    at("claimed_at"),
    at("start_sent_at", null=True),
    at("started_at", null=True),
    at("ended_at", null=True),
    Column("start_tries", Integer(), nullable=False),
    enum("cause", null=True),
    Column("progress_permille", Integer(), nullable=False),
    count("position_bytes", null=True),
    words("note"),
    one_of("state", RunState),
    one_of("cause", Cause),
    Index(
        "one_active_run_per_machine",
        "machine_id",
        unique=True,
        sqlite_where=_ACTIVE,
        postgresql_where=_ACTIVE,
    ),
    Index("one_active_run_per_job", "job_id", unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
)

usage = Table(
    "usage",
    metadata,
    Column("seq", BIG, primary_key=True, autoincrement=False),
    to("run_id", "run.id", unique=True),
    count("machine_seconds"),
    count("filament_milligrams"),
    enum("seconds_source"),
    enum("filament_source"),
    enum("quality"),
    count("beam_seconds", null=True),
    Column("beam_source", String(32), nullable=False, server_default=Source.NONE.value),
    Column("cut_millimetres", BigInteger(), nullable=False, server_default="0"),
    Column("sheet_mm2", BigInteger(), nullable=False, server_default="0"),
    Column("sheet_material", Text(), nullable=False, server_default=""),
    CheckConstraint("machine_seconds >= 0 AND filament_milligrams >= 0", name="never_backwards"),
    one_of("seconds_source", Source),
    one_of("filament_source", Source),
    one_of("quality", Quality),
)

# --- people at machines -------------------------------------------------------------------------------------------

kiosk = Table(
    "kiosk",
    metadata,
    an_id(),
    to("machine_id", "machine.id", index=True),
    words("name"),
    words("public_key"),
    to("enrolled_by", "member.id"),
    at("enrolled_at"),
    at("revoked_at", null=True),
    Column("told_at_ms", BigInteger(), nullable=False, server_default="0"),
)

presence = Table(
    "presence",
    metadata,
    an_id(),
    to("run_id", "run.id", index=True),
    to("machine_id", "machine.id"),
    to("member_id", "member.id"),
    to("kiosk_id", "kiosk.id"),
    Column("artifact_sha256", String(64), nullable=False),
    json_("checklist"),
    at("issued_at"),
    at("expires_at"),
    at("used_at", null=True),
    at("heartbeat_at", null=True),
)

reading = Table(
    "reading",
    metadata,
    to("machine_id", "machine.id", primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    flag("good"),
    at("at"),
)

override = Table(
    "override",
    metadata,
    an_id(),
    to("machine_id", "machine.id", index=True),
    Column("condition", String(64), nullable=False),
    words("reason"),
    to("asked_by", "member.id"),
    at("asked_at"),
    to("confirmed_by", "member.id", null=True),
    at("confirmed_at", null=True),
    CheckConstraint("confirmed_by IS NULL OR confirmed_by <> asked_by", name="two_people"),
)

# --- what finished runs teach ------------------------------------------------------------------------------------

estimate_sample = Table(
    "estimate_sample",
    metadata,
    to("run_id", "run.id", primary_key=True),
    to("machine_id", "machine.id"),
    words("profile"),
    at("at"),
    count("predicted_seconds"),
    count("predicted_milligrams"),
    count("actual_seconds"),
    count("actual_milligrams", null=True),
    count("quoted_seconds"),
    count("quoted_milligrams"),
    enum("source"),
    words("calibration"),
    one_of("source", EstimateSource),
    Index("ix_estimate_sample_profile_at", "profile", "at"),
    Index("ix_estimate_sample_machine_id_profile_at", "machine_id", "profile", "at"),
)

_OF_ALL_MACHINES = text("machine_id IS NULL")

calibration = Table(
    "calibration",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    to("machine_id", "machine.id", null=True),
    words("profile"),
    Column("version", Integer(), nullable=False),
    at("at"),
    Column("samples", Integer(), nullable=False),
    count("time_scale_ppm"),
    count("offset_seconds"),
    Column("time_spread_bp", Integer(), nullable=False),
    Column("time_error_before_bp", Integer(), nullable=False),
    Column("time_error_after_bp", Integer(), nullable=False),
    Column("material_samples", Integer(), nullable=False),
    count("material_scale_ppm"),
    Column("material_spread_bp", Integer(), nullable=False),
    Column("material_error_before_bp", Integer(), nullable=False),
    Column("material_error_after_bp", Integer(), nullable=False),
    CheckConstraint("version > 0 AND time_scale_ppm > 0 AND material_scale_ppm > 0", name="makes_sense"),
    UniqueConstraint("machine_id", "profile", "version"),
    Index(
        "one_version_for_all_machines",
        "profile",
        "version",
        unique=True,
        sqlite_where=_OF_ALL_MACHINES,
        postgresql_where=_OF_ALL_MACHINES,
    ),
)

# --- money -------------------------------------------------------------------------------------------------------

journal = Table(
    "journal",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("source", String(32), nullable=False),
    Column("source_id", Text(), nullable=False),
    enum("kind"),
    at("at"),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("source", "source_id", "kind"),
    one_of("kind", EntryKind),
)

posting = Table(
    "posting",
    metadata,
    Column("journal_id", BIG, ForeignKey("journal.id"), primary_key=True, autoincrement=False),
    Column("place", Integer(), primary_key=True, autoincrement=False),
    Column("account_id", Uuid(), nullable=False),
    enum("book"),
    count("amount_cents"),
    Column("currency", String(3), nullable=False),
    one_of("book", Book),
)

wallet = Table(
    "wallet",
    metadata,
    an_id("account_id"),
    count("posted"),
    count("held"),
    Column("currency", String(3), nullable=False),
    CheckConstraint("posted - held >= 0", name="never_overdrawn"),
    CheckConstraint("held >= 0", name="held_not_negative"),
)

bill = Table(
    "bill",
    metadata,
    to("job_id", "job.id", primary_key=True),
    json_("lines"),
    count("held_cents"),
    count("captured_cents"),
    Column("currency", String(3), nullable=False),
    CheckConstraint("captured_cents >= 0 AND captured_cents <= held_cents", name="never_above_hold"),
)

# --- the log, keys, the fleet's turn -----------------------------------------------------------------------------

event = Table(
    "event",
    metadata,
    Column("seq", BIG, primary_key=True, autoincrement=False),
    words("topic"),
    at("at"),
    words("actor"),
    json_("data"),
    Column("member_id", Uuid(), nullable=True),
    Column("job_id", Uuid(), nullable=True),
    Column("run_id", Uuid(), nullable=True),
    Column("machine_id", Uuid(), nullable=True),
    Index("ix_event_job_id_seq", "job_id", "seq"),
    Index("ix_event_member_id_seq", "member_id", "seq"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", String(100), primary_key=True),
    Column("operation", String(200), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer(), nullable=False),
    json_("body", null=True),
    json_("headers", null=True),
    at("at", index=True),
)

fleet = Table(
    "fleet",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("turn", Integer(), nullable=False),
)

APPEND_ONLY = (journal, posting, event, usage, tariff, bill, estimate_sample, calibration)
"""Their rows are never changed and never deleted; triggers refuse it (`orchestrator.store.triggers`)."""
