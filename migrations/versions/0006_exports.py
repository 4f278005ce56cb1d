"""Exports and their files"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "exports",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "permission",
            sa.Text(),
            nullable=False,
            comment="what whoever reads it must hold in the org at that moment",
        ),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("english", sa.Boolean(), nullable=False),
        sa.Column(
            "question_cipher", sa.LargeBinary(), nullable=False, comment="what is asked for; it may name a person"
        ),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("rows_total", sa.Integer(), nullable=True),
        sa.Column("rows_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name=op.f("exports_failure_check")),
        sa.CheckConstraint("format IN ('xlsx', 'csv')", name=op.f("exports_format_check")),
        sa.CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name=op.f("exports_state_check")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("exports_created_by_fkey")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("exports_org_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("exports_pkey")),
    )
    op.create_index(op.f("exports_created_by_org_id_id_idx"), "exports", ["created_by", "org_id", "id"])
    op.create_index(op.f("exports_expires_at_idx"), "exports", ["expires_at"])
    op.create_table(
        "export_parts",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content_cipher", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "export_id"],
            ["exports.org_id", "exports.id"],
            name="export_parts_export_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "export_id", "part", name=op.f("export_parts_pkey")),
    )


def downgrade() -> None:
    op.drop_table("export_parts")
    op.drop_table("exports")
