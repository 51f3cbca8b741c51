"""The tables. The states they allow, and the two "only one at a time" rules, are read from the domain's own tables.

A column is named like the field it stores and ends in its unit. Instants are UTC, money is whole cents, ids are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    text,
)

from orchestrator.domain.job import JobState
from orchestrator.domain.ledger import Book, EntryKind
from orchestrator.domain.machine import Activity, Bed, Kind, Link
from orchestrator.domain.member import Role
from orchestrator.domain.quote import EstimateSource
from orchestrator.domain.run import ACTIVE, Cause, RunState
from orchestrator.domain.usage import Quality, Source

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as UTC. A naive one is refused: nobody can say when it was."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} does not say in which time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BIG = BigInteger().with_variant(Integer, "sqlite")
PLAIN_JSON = JSON(none_as_null=True)


def _one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    return CheckConstraint(_is_in(column, values), name=column)


def _is_in(column: str, values: Iterable[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in sorted(values))})"


def _id(name: str = "id") -> Column[Any]:
    return Column(name, Uuid(), primary_key=True)


def _to(name: str, target: str, *, null: bool = False, **more: Any) -> Column[Any]:
    return Column(name, Uuid(), ForeignKey(target), nullable=null, **more)


def _words(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text(), nullable=null)


def _enum(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, String(32), nullable=null)


def _at(name: str, *, null: bool = False, **more: Any) -> Column[Any]:
    return Column(name, Instant(), nullable=null, **more)


def _count(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger(), nullable=null)


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean(), nullable=False)


def _json(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, PLAIN_JSON, nullable=null)


# --- people ------------------------------------------------------------------------------------------------------

member = Table(
    "member",
    metadata,
    _id(),
    Column("email", Text(), nullable=False, unique=True),
    _words("name"),
    _enum("role"),
    Column("account_id", Uuid(), nullable=False, index=True),
    _words("password_hash"),
    _words("locale"),
    _flag("active"),
    _one_of("role", Role),
)

session = Table(
    "session",
    metadata,
    Column("id_sha256", String(64), primary_key=True),
    _to("member_id", "member.id"),
    _at("created_at"),
    _at("seen_at"),
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", String(64), primary_key=True),
    _words("secret_sha256"),
    _to("member_id", "member.id"),
    _words("name"),
    _json("scopes"),
    _at("created_at"),
    _at("expires_at", null=True),
    _at("revoked_at", null=True),
)

entitlement = Table(
    "entitlement",
    metadata,
    _to("member_id", "member.id", primary_key=True),
    Column("machine_class", String(64), primary_key=True),
    _at("until", null=True),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    _words("key"),
    _at("at", index=True),
    Index("ix_attempt_key_at", "key", "at"),
)

# --- files, quotes, tariffs --------------------------------------------------------------------------------------

file = Table(
    "file",
    metadata,
    _id(),
    _to("owner_id", "member.id"),
    Column("sha256", String(64), nullable=False, index=True),
    _words("name"),
    _count("size_bytes"),
    _at("created_at"),
    _json("analysis", null=True),
    _json("refusals", null=True),
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
    _json("rules"),
    _at("published_at"),
)

quote = Table(
    "quote",
    metadata,
    _id(),
    _to("member_id", "member.id"),
    _to("file_id", "file.id"),
    _json("process"),
    Column("quantity", Integer(), nullable=False),
    _words("machine_class", null=True),
    _words("profile"),
    Column("tariff_version", Integer(), ForeignKey("tariff.version"), nullable=False),
    _json("estimate"),
    _json("lines"),
    _count("total_cents"),
    _count("hold_cents"),
    Column("currency", String(3), nullable=False),
    _at("created_at"),
    _at("valid_until"),
    CheckConstraint("hold_cents >= 0", name="hold_not_negative"),
)

# --- jobs, runs, machines ----------------------------------------------------------------------------------------

job = Table(
    "job",
    metadata,
    _id(),
    _to("member_id", "member.id"),
    Column("account_id", Uuid(), nullable=False),
    _to("quote_id", "quote.id", unique=True),
    _to("file_id", "file.id"),
    _json("process"),
    Column("quantity", Integer(), nullable=False),
    _words("machine_class", null=True),
    _enum("state"),
    Column("version", Integer(), nullable=False),
    _at("created_at"),
    _at("queued_at", null=True),
    _words("reason"),
    Column("failed_runs", Integer(), nullable=False),
    _flag("cancel_requested"),
    _json("artifact", null=True),
    Column("artifact_sha256", String(64), nullable=True),
    _json("curve", null=True),
    _one_of("state", JobState),
    Index("ix_job_created_at_id", "created_at", "id"),
    Index("ix_job_member_id_created_at_id", "member_id", "created_at", "id"),
    Index("ix_job_state_queued_at", "state", "queued_at"),
)

machine = Table(
    "machine",
    metadata,
    _id(),
    Column("site", Text(), nullable=False, index=True),
    _words("name"),
    _enum("kind"),
    _words("machine_class"),
    _words("driver"),
    _json("abilities"),
    _enum("material", null=True),
    Column("version", Integer(), nullable=False),
    _enum("link"),
    _enum("activity"),
    _enum("bed"),
    _words("held"),
    _flag("maintenance"),
    _words("note"),
    _at("seen_at", null=True),
    _json("connection"),
    _one_of("kind", Kind),
    _one_of("link", Link),
    _one_of("activity", Activity),
    _one_of("bed", Bed),
)

_ACTIVE = text(_is_in("state", ACTIVE))

run = Table(
    "run",
    metadata,
    _id(),
    _to("job_id", "job.id", index=True),
    _to("machine_id", "machine.id"),
    Column("token", Text(), nullable=False, unique=True),
    _enum("state"),
    Column("version", Integer(), nullable=False),
    _at("claimed_at"),
    _at("start_sent_at", null=True),
    _at("started_at", null=True),
    _at("ended_at", null=True),
    Column("start_tries", Integer(), nullable=False),
    _enum("cause", null=True),
    Column("progress_permille", Integer(), nullable=False),
    _count("position_bytes", null=True),
    _words("note"),
    _one_of("state", RunState),
    _one_of("cause", Cause),
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
    _to("run_id", "run.id", unique=True),
    _count("machine_seconds"),
    _count("filament_milligrams"),
    _enum("seconds_source"),
    _enum("filament_source"),
    _enum("quality"),
    _count("beam_seconds", null=True),
    Column("beam_source", String(32), nullable=False, server_default=Source.NONE.value),
    Column("cut_millimetres", BigInteger(), nullable=False, server_default="0"),
    Column("sheet_mm2", BigInteger(), nullable=False, server_default="0"),
    Column("sheet_material", Text(), nullable=False, server_default=""),
    CheckConstraint("machine_seconds >= 0 AND filament_milligrams >= 0", name="never_backwards"),
    _one_of("seconds_source", Source),
    _one_of("filament_source", Source),
    _one_of("quality", Quality),
)

# --- people at machines -------------------------------------------------------------------------------------------

kiosk = Table(
    "kiosk",
    metadata,
    _id(),
    _to("machine_id", "machine.id", index=True),
    _words("name"),
    _words("public_key"),
    _to("enrolled_by", "member.id"),
    _at("enrolled_at"),
    _at("revoked_at", null=True),
    Column("told_at_ms", BigInteger(), nullable=False, server_default="0"),
)

presence = Table(
    "presence",
    metadata,
    _id(),
    _to("run_id", "run.id", index=True),
    _to("machine_id", "machine.id"),
    _to("member_id", "member.id"),
    _to("kiosk_id", "kiosk.id"),
    Column("artifact_sha256", String(64), nullable=False),
    _json("checklist"),
    _at("issued_at"),
    _at("expires_at"),
    _at("used_at", null=True),
    _at("heartbeat_at", null=True),
)

reading = Table(
    "reading",
    metadata,
    _to("machine_id", "machine.id", primary_key=True),
    Column("name", String(64), primary_key=True),
    _flag("good"),
    _at("at"),
    _words("source"),
)

override = Table(
    "override",
    metadata,
    _id(),
    _to("machine_id", "machine.id", index=True),
    Column("condition", String(64), nullable=False),
    _words("reason"),
    _to("asked_by", "member.id"),
    _at("asked_at"),
    _to("confirmed_by", "member.id", null=True),
    _at("confirmed_at", null=True),
    CheckConstraint("confirmed_by IS NULL OR confirmed_by <> asked_by", name="two_people"),
)

# --- what finished runs teach ------------------------------------------------------------------------------------

estimate_sample = Table(
    "estimate_sample",
    metadata,
    _to("run_id", "run.id", primary_key=True),
    _to("machine_id", "machine.id"),
    _words("profile"),
    _at("at"),
    _count("predicted_seconds"),
    _count("predicted_milligrams"),
    _count("actual_seconds"),
    _count("actual_milligrams", null=True),
    _count("quoted_seconds"),
    _count("quoted_milligrams"),
    _enum("source"),
    _words("calibration"),
    _one_of("source", EstimateSource),
    Index("ix_estimate_sample_profile_at", "profile", "at"),
    Index("ix_estimate_sample_machine_id_profile_at", "machine_id", "profile", "at"),
)

_OF_ALL_MACHINES = text("machine_id IS NULL")

calibration = Table(
    "calibration",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    _to("machine_id", "machine.id", null=True),
    _words("profile"),
    Column("version", Integer(), nullable=False),
    _at("at"),
    Column("samples", Integer(), nullable=False),
    _count("time_scale_ppm"),
    _count("offset_seconds"),
    Column("time_spread_bp", Integer(), nullable=False),
    Column("time_error_before_bp", Integer(), nullable=False),
    Column("time_error_after_bp", Integer(), nullable=False),
    Column("material_samples", Integer(), nullable=False),
    _count("material_scale_ppm"),
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
    _enum("kind"),
    _at("at"),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("source", "source_id", "kind"),
    _one_of("kind", EntryKind),
)

posting = Table(
    "posting",
    metadata,
    Column("journal_id", BIG, ForeignKey("journal.id"), primary_key=True, autoincrement=False),
    Column("place", Integer(), primary_key=True, autoincrement=False),
    Column("account_id", Uuid(), nullable=False),
    _enum("book"),
    _count("amount_cents"),
    Column("currency", String(3), nullable=False),
    _one_of("book", Book),
)

wallet = Table(
    "wallet",
    metadata,
    _id("account_id"),
    _count("posted"),
    _count("held"),
    Column("currency", String(3), nullable=False),
    CheckConstraint("posted - held >= 0", name="never_overdrawn"),
    CheckConstraint("held >= 0", name="held_not_negative"),
)

bill = Table(
    "bill",
    metadata,
    _to("job_id", "job.id", primary_key=True),
    _json("lines"),
    _count("held_cents"),
    _count("captured_cents"),
    Column("currency", String(3), nullable=False),
    CheckConstraint("captured_cents >= 0 AND captured_cents <= held_cents", name="never_above_hold"),
)

# --- the log, keys, the fleet's turn -----------------------------------------------------------------------------

event = Table(
    "event",
    metadata,
    Column("seq", BIG, primary_key=True, autoincrement=False),
    _words("topic"),
    _at("at"),
    _words("actor"),
    _json("data"),
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
    _json("body", null=True),
    _at("at", index=True),
)

fleet = Table(
    "fleet",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("turn", Integer(), nullable=False),
)

APPEND_ONLY = (journal, posting, event, usage, tariff, bill, estimate_sample, calibration)
"""Their rows are never changed and never deleted; triggers refuse it (`orchestrator.store.triggers`)."""
