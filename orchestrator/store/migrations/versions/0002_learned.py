"""What finished runs teach: predicted against real, and the calibrations adopted from it."""

import sqlalchemy as sa
from alembic import op

from orchestrator.store import triggers

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("estimate_sample", "calibration")
OF_ALL_MACHINES = sa.text("machine_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "calibration",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("machine_id", sa.Uuid(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("time_scale_ppm", sa.BigInteger(), nullable=False),
        sa.Column("offset_seconds", sa.BigInteger(), nullable=False),
        sa.Column("time_spread_bp", sa.Integer(), nullable=False),
        sa.Column("time_error_before_bp", sa.Integer(), nullable=False),
        sa.Column("time_error_after_bp", sa.Integer(), nullable=False),
        sa.Column("material_samples", sa.Integer(), nullable=False),
        sa.Column("material_scale_ppm", sa.BigInteger(), nullable=False),
        sa.Column("material_spread_bp", sa.Integer(), nullable=False),
        sa.Column("material_error_before_bp", sa.Integer(), nullable=False),
        sa.Column("material_error_after_bp", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "version > 0 AND time_scale_ppm > 0 AND material_scale_ppm > 0",
            name=op.f("ck_calibration_makes_sense"),
        ),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machine.id"], name=op.f("fk_calibration_machine_id_machine")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calibration")),
        sa.UniqueConstraint(
            "machine_id", "profile", "version", name=op.f("uq_calibration_machine_id_profile_version")
        ),
    )
    op.create_index(
        "one_version_for_all_machines",
        "calibration",
        ["profile", "version"],
        unique=True,
        sqlite_where=OF_ALL_MACHINES,
        postgresql_where=OF_ALL_MACHINES,
    )
    op.create_table(
        "estimate_sample",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("machine_id", sa.Uuid(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("predicted_seconds", sa.BigInteger(), nullable=False),
        sa.Column("predicted_milligrams", sa.BigInteger(), nullable=False),
        sa.Column("actual_seconds", sa.BigInteger(), nullable=False),
        sa.Column("actual_milligrams", sa.BigInteger(), nullable=True),
        sa.Column("quoted_seconds", sa.BigInteger(), nullable=False),
        sa.Column("quoted_milligrams", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("calibration", sa.Text(), nullable=False),
        sa.CheckConstraint("source IN ('mesh', 'sliced', 'vector')", name=op.f("ck_estimate_sample_source")),
        sa.ForeignKeyConstraint(
            ["machine_id"], ["machine.id"], name=op.f("fk_estimate_sample_machine_id_machine")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_estimate_sample_run_id_run")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_estimate_sample")),
    )
    op.create_index("ix_estimate_sample_profile_at", "estimate_sample", ["profile", "at"], unique=False)
    op.create_index(
        "ix_estimate_sample_machine_id_profile_at",
        "estimate_sample",
        ["machine_id", "profile", "at"],
        unique=False,
    )

    for statement in triggers.on(op.get_context().dialect.name, APPEND_ONLY):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("history is not taken back: restore the backup made before the upgrade")
