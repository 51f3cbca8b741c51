"""Lasers: what a beam uses, the devices at machines, releases, sensors, and overrides by two people."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _at(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    for column in (
        sa.Column("beam_seconds", sa.BigInteger(), nullable=True),
        sa.Column("beam_source", sa.String(32), nullable=False, server_default="none"),
        sa.Column("cut_millimetres", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("sheet_mm2", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("sheet_material", sa.Text(), nullable=False, server_default=""),
    ):
        op.add_column("usage", column)
    _kiosks()
    _presences()
    _sensors()


def _kiosks() -> None:
    op.create_table(
        "kiosk",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("enrolled_by", sa.Uuid(), nullable=False),
        _at("enrolled_at"),
        _at("revoked_at", nullable=True),
        sa.Column("told_at_ms", sa.BigInteger(), nullable=False, server_default="0"),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name=op.f("fk_kiosk_machine_id_machine")),
        sa.ForeignKeyConstraint(["enrolled_by"], ["member.id"], name=op.f("fk_kiosk_enrolled_by_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kiosk")),
    )
    op.create_index("ix_kiosk_machine_id", "kiosk", ["machine_id"])


def _presences() -> None:
    op.create_table(
        "presence",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("kiosk_id", sa.Uuid(), nullable=False),
        sa.Column("artifact_sha256", sa.String(64), nullable=False),
        sa.Column("checklist", sa.JSON(none_as_null=True), nullable=False),
        _at("issued_at"),
        _at("expires_at"),
        _at("used_at", nullable=True),
        _at("heartbeat_at", nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_presence_run_id_run")),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name=op.f("fk_presence_machine_id_machine")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_presence_member_id_member")),
        sa.ForeignKeyConstraint(["kiosk_id"], ["kiosk.id"], name=op.f("fk_presence_kiosk_id_kiosk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presence")),
    )
    op.create_index("ix_presence_run_id", "presence", ["run_id"])


def _sensors() -> None:
    op.create_table(
        "reading",
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("good", sa.Boolean(), nullable=False),
        _at("at"),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name=op.f("fk_reading_machine_id_machine")),
        sa.PrimaryKeyConstraint("machine_id", "name", name=op.f("pk_reading")),
    )
    op.create_table(
        "override",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("condition", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        _at("asked_at"),
        sa.Column("confirmed_by", sa.Uuid(), nullable=True),
        _at("confirmed_at", nullable=True),
        sa.CheckConstraint(
            "confirmed_by IS NULL OR confirmed_by <> asked_by", name=op.f("ck_override_two_people")
        ),
        sa.ForeignKeyConstraint(["machine_id"], ["machine.id"], name=op.f("fk_override_machine_id_machine")),
        sa.ForeignKeyConstraint(["asked_by"], ["member.id"], name=op.f("fk_override_asked_by_member")),
        sa.ForeignKeyConstraint(
            ["confirmed_by"], ["member.id"], name=op.f("fk_override_confirmed_by_member")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_override")),
    )
    op.create_index("ix_override_machine_id", "override", ["machine_id"])


def downgrade() -> None:
    raise NotImplementedError("history is not taken back: restore the backup made before the upgrade")
