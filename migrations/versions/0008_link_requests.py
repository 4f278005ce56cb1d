"""Link requests, and links that an admin undid"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "link_requests",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=True),
        sa.Column("pinyin", sa.Text(collation="C"), nullable=True),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=True, comment="the row that was linked"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'asked') = (decided_at IS NULL)", name=op.f("link_requests_decided_check")),
        sa.CheckConstraint("(state = 'asked') = (name_key IS NOT NULL)", name=op.f("link_requests_name_check")),
        sa.CheckConstraint(
            "state IN ('asked', 'accepted', 'refused', 'withdrawn', 'expired')", name=op.f("link_requests_state_check")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("link_requests_decided_by_fkey")),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="link_requests_member_fkey"
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("link_requests_org_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("link_requests_user_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("link_requests_pkey")),
    )
    op.create_index(
        "link_requests_one_open_key",
        "link_requests",
        ["org_id", "user_id"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_index(op.f("link_requests_user_id_id_idx"), "link_requests", ["user_id", "id"])
    op.create_index(
        "link_requests_waiting_idx",
        "link_requests",
        ["org_id", "name_key"],
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.add_column(
        "activations",
        sa.Column(
            "undone_by", sa.Uuid(), nullable=True, comment="the admin who undid it: not linked again without consent"
        ),
    )
    # Nothing refers to anybody yet: the rows need no second look.
    op.create_foreign_key(
        op.f("activations_undone_by_fkey"), "activations", "users", ["undone_by"], ["id"], postgresql_not_valid=True
    )


def downgrade() -> None:
    op.drop_column("activations", "undone_by")
    op.drop_table("link_requests")
