"""The first schema: people, files, quotes, jobs, runs, machines, money, the event log."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store import triggers

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


ACTIVE = sa.text("state IN ('claimed', 'paused', 'running', 'staged', 'staging', 'start_sent', 'unclear')")
APPEND_ONLY = ("journal", "posting", "event", "usage", "tariff", "bill")


def upgrade() -> None:
    op.create_table(
        "attempt",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index(op.f("ix_attempt_at"), "attempt", ["at"], unique=False)
    op.create_index("ix_attempt_key_at", "attempt", ["key", "at"], unique=False)

    op.create_table(
        "event",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("machine_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_event")),
    )
    op.create_index("ix_event_job_id_seq", "event", ["job_id", "seq"], unique=False)
    op.create_index("ix_event_member_id_seq", "event", ["member_id", "seq"], unique=False)

    op.create_table(
        "fleet",
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_fleet")),
    )
    op.create_table(
        "idempotency",
        sa.Column("principal", sa.String(length=100), nullable=False),
        sa.Column("operation", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal", "operation", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_at"), "idempotency", ["at"], unique=False)

    op.create_table(
        "journal",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prev_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint(
            "kind IN ('capture', 'hold', 'release', 'reversal', 'top_up')", name=op.f("ck_journal_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
        sa.UniqueConstraint("source", "source_id", "kind", name=op.f("uq_journal_source_source_id_kind")),
    )
    op.create_table(
        "machine",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("machine_class", sa.Text(), nullable=False),
        sa.Column("driver", sa.Text(), nullable=False),
        sa.Column("abilities", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("material", sa.String(length=32), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("link", sa.String(length=32), nullable=False),
        sa.Column("activity", sa.String(length=32), nullable=False),
        sa.Column("bed", sa.String(length=32), nullable=False),
        sa.Column("held", sa.Text(), nullable=False),
        sa.Column("maintenance", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("connection", sa.JSON(none_as_null=True), nullable=False),
        sa.CheckConstraint(
            "activity IN ('attention', 'busy', 'cancelling', 'done', 'fault', 'finishing', "
            "'idle', 'paused', 'pausing', 'preparing', 'printing', 'resuming', 'unknown')",
            name=op.f("ck_machine_activity"),
        ),
        sa.CheckConstraint("bed IN ('clear', 'occupied', 'unknown')", name=op.f("ck_machine_bed")),
        sa.CheckConstraint("kind IN ('laser', 'printer', 'vinyl')", name=op.f("ck_machine_kind")),
        sa.CheckConstraint(
            "link IN ('auth_failed', 'connecting', 'offline', 'online', 'rejected')",
            name=op.f("ck_machine_link"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_machine")),
    )
    op.create_index(op.f("ix_machine_site"), "machine", ["site"], unique=False)

    op.create_table(
        "member",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.CheckConstraint("role IN ('booking', 'manager', 'member', 'tech')", name=op.f("ck_member_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_member")),
        sa.UniqueConstraint("email", name=op.f("uq_member_email")),
    )
    op.create_index(op.f("ix_member_account_id"), "member", ["account_id"], unique=False)

    op.create_table(
        "tariff",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rules", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_tariff")),
    )
    op.create_table(
        "wallet",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.CheckConstraint("held >= 0", name=op.f("ck_wallet_held_not_negative")),
        sa.CheckConstraint("posted - held >= 0", name=op.f("ck_wallet_never_overdrawn")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_wallet")),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_api_token_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
    )
    op.create_table(
        "entitlement",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("machine_class", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_entitlement_member_id_member")),
        sa.PrimaryKeyConstraint("member_id", "machine_class", name=op.f("pk_entitlement")),
    )
    op.create_table(
        "file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("analysis", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("refusals", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["member.id"], name=op.f("fk_file_owner_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
    )
    op.create_index(
        "files_to_analyse",
        "file",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("analysis IS NULL AND refusals IS NULL"),
        postgresql_where=sa.text("analysis IS NULL AND refusals IS NULL"),
    )
    op.create_index("ix_file_owner_id_created_at", "file", ["owner_id", "created_at"], unique=False)
    op.create_index(op.f("ix_file_sha256"), "file", ["sha256"], unique=False)

    op.create_table(
        "posting",
        sa.Column(
            "journal_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("book", sa.String(length=32), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.CheckConstraint("book IN ('bank', 'held', 'revenue', 'wallet')", name=op.f("ck_posting_book")),
        sa.ForeignKeyConstraint(["journal_id"], ["journal.id"], name=op.f("fk_posting_journal_id_journal")),
        sa.PrimaryKeyConstraint("journal_id", "place", name=op.f("pk_posting")),
    )
    op.create_table(
        "session",
        sa.Column("id_sha256", sa.String(length=64), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_session_member_id_member")),
        sa.PrimaryKeyConstraint("id_sha256", name=op.f("pk_session")),
    )
    op.create_table(
        "quote",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("process", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("machine_class", sa.Text(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("tariff_version", sa.Integer(), nullable=False),
        sa.Column("estimate", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("lines", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("total_cents", sa.BigInteger(), nullable=False),
        sa.Column("hold_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("hold_cents >= 0", name=op.f("ck_quote_hold_not_negative")),
        sa.ForeignKeyConstraint(["file_id"], ["file.id"], name=op.f("fk_quote_file_id_file")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_quote_member_id_member")),
        sa.ForeignKeyConstraint(
            ["tariff_version"], ["tariff.version"], name=op.f("fk_quote_tariff_version_tariff")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quote")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("quote_id", sa.Uuid(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("process", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("machine_class", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failed_runs", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("artifact", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("artifact_sha256", sa.String(length=64), nullable=True),
        sa.Column("curve", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('active', 'attention', 'cancelled', 'done', 'failed', 'preparing', "
            "'queued', 'quoted', 'rejected')",
            name=op.f("ck_job_state"),
        ),
        sa.ForeignKeyConstraint(["file_id"], ["file.id"], name=op.f("fk_job_file_id_file")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_job_member_id_member")),
        sa.ForeignKeyConstraint(["quote_id"], ["quote.id"], name=op.f("fk_job_quote_id_quote")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("quote_id", name=op.f("uq_job_quote_id")),
    )
    op.create_index("ix_job_created_at_id", "job", ["created_at", "id"], unique=False)
    op.create_index("ix_job_member_id_created_at_id", "job", ["member_id", "created_at", "id"], unique=False)
    op.create_index("ix_job_state_queued_at", "job", ["state", "queued_at"], unique=False)

    op.create_table(
        "bill",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("lines", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("held_cents", sa.BigInteger(), nullable=False),
        sa.Column("captured_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.CheckConstraint(
            "captured_cents >= 0 AND captured_cents <= held_cents", name=op.f("ck_bill_never_above_hold")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_bill_job_id_job")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_bill")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("start_tries", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=True),
        sa.Column("progress_permille", sa.Integer(), nullable=False),
        sa.Column("position_bytes", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "cause IN ('file_fault', 'house_material', 'machine_fault', 'member_cancel', "
            "'never_started', 'power', 'software', 'staff_cancel', 'staff_error', "
            "'unknown')",
            name=op.f("ck_run_cause"),
        ),
        sa.CheckConstraint(
            "state IN ('cancelled', 'claimed', 'failed', 'finished', 'paused', 'running', "
            "'staged', 'staging', 'start_sent', 'unclear')",
            name=op.f("ck_run_state"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_run_job_id_job")),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name=op.f("fk_run_machine_id_machine")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("token", name=op.f("uq_run_token")),
    )
    op.create_index(op.f("ix_run_job_id"), "run", ["job_id"], unique=False)
    op.create_index(
        "one_active_run_per_job", "run", ["job_id"], unique=True, sqlite_where=ACTIVE, postgresql_where=ACTIVE
    )
    op.create_index(
        "one_active_run_per_machine",
        "run",
        ["machine_id"],
        unique=True,
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    )

    op.create_table(
        "usage",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("machine_seconds", sa.BigInteger(), nullable=False),
        sa.Column("filament_milligrams", sa.BigInteger(), nullable=False),
        sa.Column("seconds_source", sa.String(length=32), nullable=False),
        sa.Column("filament_source", sa.String(length=32), nullable=False),
        sa.Column("quality", sa.String(length=32), nullable=False),
        sa.CheckConstraint(
            "filament_source IN ('artifact', 'clock', 'curve', 'machine', 'none')",
            name=op.f("ck_usage_filament_source"),
        ),
        sa.CheckConstraint("quality IN ('gap_filled', 'measured')", name=op.f("ck_usage_quality")),
        sa.CheckConstraint(
            "seconds_source IN ('artifact', 'clock', 'curve', 'machine', 'none')",
            name=op.f("ck_usage_seconds_source"),
        ),
        sa.CheckConstraint(
            "machine_seconds >= 0 AND filament_milligrams >= 0", name=op.f("ck_usage_never_backwards")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_usage_run_id_run")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_usage")),
        sa.UniqueConstraint("run_id", name=op.f("uq_usage_run_id")),
    )

    for statement in triggers.create(op.get_context().dialect.name, APPEND_ONLY):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("history is not taken back: restore the backup made before the upgrade")
