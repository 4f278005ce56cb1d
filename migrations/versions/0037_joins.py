"""Asking to join: links and requests"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "join_links",
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("token_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("max_uses", sa.Integer(), nullable=False),
        sa.Column("uses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("uses BETWEEN 0 AND max_uses", name=op.f("join_links_uses_check")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("join_links_created_by_fkey")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("join_links_org_id_fkey")),
        sa.ForeignKeyConstraint(["org_id", "unit_id"], ["units.org_id", "units.id"], name="join_links_unit_fkey"),
        sa.PrimaryKeyConstraint("id", name=op.f("join_links_pkey")),
    )
    op.create_index("join_links_token_hash_key", "join_links", ["token_hash"], unique=True)
    op.create_index(op.f("join_links_org_id_id_idx"), "join_links", ["org_id", "id"])
    op.create_table(
        "join_requests",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("member_id", sa.Uuid(), nullable=True, comment="the row of the person who was accepted"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')",
            name=op.f("join_requests_state_check"),
        ),
        sa.CheckConstraint("(state = 'pending') = (name IS NOT NULL)", name=op.f("join_requests_name_check")),
        sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name=op.f("join_requests_decided_check")),
        sa.CheckConstraint("(state = 'accepted') = (member_id IS NOT NULL)", name=op.f("join_requests_accepted_check")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("join_requests_decided_by_fkey")),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="join_requests_member_fkey"
        ),
        sa.ForeignKeyConstraint(["org_id", "unit_id"], ["units.org_id", "units.id"], name="join_requests_unit_fkey"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("join_requests_org_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("join_requests_user_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("join_requests_pkey")),
    )
    op.create_index(
        "join_requests_one_open_key",
        "join_requests",
        ["org_id", "user_id"],
        unique=True,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(op.f("join_requests_user_id_id_idx"), "join_requests", ["user_id", "id"])


def downgrade() -> None:
    op.drop_table("join_requests")
    op.drop_table("join_links")
