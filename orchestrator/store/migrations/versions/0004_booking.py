"""Booking: organisations, names of other systems, hours, reservations, demand, forecasts, sources, webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar",
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("openings", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("holidays", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("unattended", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site", name=op.f("pk_calendar")),
    )
    op.create_table(
        "demand",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("subject", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("machine_class", sa.String(length=64), nullable=False),
        sa.Column("public", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("day", "subject", "rule", "machine_class", name=op.f("pk_demand")),
    )
    op.create_table(
        "external",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("system", sa.String(length=64), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("ours", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "system", "external_id", name=op.f("pk_external")),
    )
    with op.batch_alter_table("external", schema=None) as batch_op:
        batch_op.create_index("ix_external_kind_ours", ["kind", "ours"], unique=False)

    op.create_table(
        "organisation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("siren", sa.Text(), nullable=False),
        sa.Column("shares", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisation")),
    )
    op.create_table(
        "source",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("system", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("machines", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("charges", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('fabman', 'fabmanager', 'ical')", name=op.f("ck_source_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source")),
        sa.UniqueConstraint("system", name=op.f("uq_source_system")),
    )
    op.create_table(
        "reservation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("system", sa.String(length=64), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("machine_id", sa.Uuid(), nullable=True),
        sa.Column("machine_class", sa.String(length=64), nullable=True),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "purpose IN ('booking', 'closure', 'event', 'maintenance')", name=op.f("ck_reservation_purpose")
        ),
        sa.CheckConstraint("state IN ('booked', 'cancelled', 'released')", name=op.f("ck_reservation_state")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_reservation_starts_before_it_ends")),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machine.id"], name=op.f("fk_reservation_machine_id_machine")
        ),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_reservation_member_id_member")),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisation.id"], name=op.f("fk_reservation_organisation_id_organisation")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation")),
        sa.UniqueConstraint("system", "external_id", name=op.f("uq_reservation_system_external_id")),
    )
    with op.batch_alter_table("reservation", schema=None) as batch_op:
        batch_op.create_index("ix_reservation_ends_at_starts_at", ["ends_at", "starts_at"], unique=False)

    op.create_table(
        "webhook",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("topics", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=False),
        sa.Column("old_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["member.id"], name=op.f("fk_webhook_owner_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tries_before", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('dead', 'delivered', 'pending')", name=op.f("ck_delivery_state")),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], name=op.f("fk_delivery_webhook_id_webhook")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index("ix_delivery_ended_at", ["ended_at"], unique=False)
        batch_op.create_index("ix_delivery_job_id", ["job_id"], unique=False)
        batch_op.create_index(
            "ix_delivery_webhook_id_state_due_at", ["webhook_id", "state", "due_at"], unique=False
        )
        batch_op.create_index("ix_delivery_webhook_id_seq", ["webhook_id", "seq"], unique=False)

    op.create_table(
        "foretold",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_p50", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_p90", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_p50", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_p90", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_foretold_job_id_job")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_foretold")),
    )
    with op.batch_alter_table("foretold", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_foretold_at"), ["at"], unique=False)

    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.add_column(sa.Column("used_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("entitlement", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("level", sa.String(length=32), server_default="autonomous", nullable=False)
        )
        batch_op.add_column(sa.Column("training", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))

    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.add_column(sa.Column("headers", sa.JSON(none_as_null=True), nullable=True))

    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("priority", sa.String(length=32), server_default="standard", nullable=False)
        )
        batch_op.add_column(sa.Column("deadline", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("approved_by", sa.Uuid(), nullable=True))

    with op.batch_alter_table("machine", schema=None) as batch_op:
        batch_op.add_column(sa.Column("colour", sa.String(length=32), nullable=True))
        batch_op.add_column(
            sa.Column("nozzle_micrometres", sa.Integer(), server_default="400", nullable=False)
        )
        batch_op.add_column(sa.Column("stock_milligrams", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("public", sa.String(length=32), server_default="individual", nullable=False)
        )
        batch_op.add_column(sa.Column("organisation_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("active_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))

    # one reading of each that speaks of an input, so that none overwrites what another has said
    op.execute("UPDATE reading SET source = SUBSTR(source, 1, 64)")
    with op.batch_alter_table("reading", schema=None) as batch_op:
        batch_op.alter_column(
            "source", existing_type=sa.Text(), type_=sa.String(length=64), existing_nullable=False
        )
        batch_op.drop_constraint("pk_reading", type_="primary")
        batch_op.create_primary_key("pk_reading", ["machine_id", "name", "source"])

    # what `feeds:read` was is called as the booking API calls it
    renamed = """REPLACE(CAST(scopes AS TEXT), '"feeds:read"', '"usage:read"')"""
    if op.get_bind().dialect.name == "postgresql":
        renamed = f"CAST({renamed} AS JSON)"
    op.execute(f"UPDATE api_token SET scopes = {renamed}")  # noqa: S608 - both halves are ours


def downgrade() -> None:
    raise NotImplementedError("history is not taken back: restore the backup made before the upgrade")
