"""Orgs whose directories may not link a person"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "org_blocks",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("org_blocks_org_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("org_blocks_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", "org_id", name=op.f("org_blocks_pkey")),
    )


def downgrade() -> None:
    op.drop_table("org_blocks")
