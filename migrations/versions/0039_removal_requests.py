"""Requests of people to be removed from a directory"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "removal_requests",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False, comment="the row that was linked to the user"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')",
            name=op.f("removal_requests_state_check"),
        ),
        sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name=op.f("removal_requests_decided_check")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("removal_requests_decided_by_fkey")),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="removal_requests_member_fkey"
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("removal_requests_org_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("removal_requests_user_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("removal_requests_pkey")),
    )
    op.create_index(
        "removal_requests_one_open_key",
        "removal_requests",
        ["org_id", "user_id"],
        unique=True,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(op.f("removal_requests_user_id_id_idx"), "removal_requests", ["user_id", "id"])


def downgrade() -> None:
    op.drop_table("removal_requests")
