"""The closing of an org is requested, accepted by the main admin, and can be undone."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "closures",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("superior_id", sa.Uuid(), nullable=True),
        sa.Column("reopened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reopened_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')", name=op.f("closures_state_check")
        ),
        sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name=op.f("closures_decided_check")),
        sa.CheckConstraint("(reopened_at IS NULL) = (reopened_by IS NULL)", name=op.f("closures_reopened_check")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("closures_org_id_fkey")),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], name=op.f("closures_requested_by_fkey")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("closures_decided_by_fkey")),
        sa.ForeignKeyConstraint(["superior_id"], ["orgs.id"], name=op.f("closures_superior_id_fkey")),
        sa.ForeignKeyConstraint(["reopened_by"], ["users.id"], name=op.f("closures_reopened_by_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("closures_pkey")),
    )
    op.create_index(op.f("closures_org_id_id_idx"), "closures", ["org_id", "id"])
    op.create_index(
        "closures_one_open_key", "closures", ["org_id"], unique=True, postgresql_where=sa.text("state = 'pending'")
    )


def downgrade() -> None:
    op.drop_table("closures")
