"""Transfers of people between orgs"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "person_transfers",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("to_id", sa.Uuid(), nullable=False),
        sa.Column("new_member_id", sa.Uuid(), nullable=True, comment="their row in the org that took them in"),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'accepted') = (new_member_id IS NOT NULL)", name=op.f("person_transfers_accepted_check")
        ),
        sa.CheckConstraint("(state = 'asked') = (decided_at IS NULL)", name=op.f("person_transfers_decided_check")),
        sa.CheckConstraint(
            "state IN ('asked', 'accepted', 'refused', 'withdrawn', 'lapsed')",
            name=op.f("person_transfers_state_check"),
        ),
        sa.CheckConstraint("to_id <> org_id", name=op.f("person_transfers_elsewhere_check")),
        sa.ForeignKeyConstraint(["asked_by"], ["users.id"], name=op.f("person_transfers_asked_by_fkey")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("person_transfers_decided_by_fkey")),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="person_transfers_member_fkey"
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("person_transfers_org_id_fkey")),
        sa.ForeignKeyConstraint(
            ["to_id", "new_member_id"], ["members.org_id", "members.id"], name="person_transfers_new_member_fkey"
        ),
        sa.ForeignKeyConstraint(["to_id"], ["orgs.id"], name=op.f("person_transfers_to_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("person_transfers_pkey")),
    )
    op.create_index(
        "person_transfers_one_open_key",
        "person_transfers",
        ["org_id", "member_id"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_index(op.f("person_transfers_to_id_id_idx"), "person_transfers", ["to_id", "id"])
    op.create_index(
        "person_transfers_waiting_idx", "person_transfers", ["to_id"], postgresql_where=sa.text("state = 'asked'")
    )


def downgrade() -> None:
    op.drop_table("person_transfers")
