"""Several people are transferred to another org with one consent of each side"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "group_transfers",
        sa.Column("org_id", sa.Uuid(), nullable=False, comment="the org that the people leave"),
        sa.Column("to_id", sa.Uuid(), nullable=False, comment="the receiving org"),
        sa.Column("people", sa.Integer(), nullable=False, comment="the number of people in the request"),
        sa.Column("moved", sa.Integer(), nullable=True, comment="the number of people who were transferred"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="from then on the request cannot be decided",
        ),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "decided_at", sa.DateTime(timezone=True), nullable=True, comment="when the state stopped being pending"
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')",
            name=op.f("group_transfers_state_check"),
        ),
        sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name=op.f("group_transfers_decided_check")),
        sa.CheckConstraint("(state = 'accepted') = (moved IS NOT NULL)", name=op.f("group_transfers_moved_check")),
        sa.CheckConstraint("to_id <> org_id", name=op.f("group_transfers_elsewhere_check")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("group_transfers_org_id_fkey")),
        sa.ForeignKeyConstraint(["to_id"], ["orgs.id"], name=op.f("group_transfers_to_id_fkey")),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], name=op.f("group_transfers_requested_by_fkey")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("group_transfers_decided_by_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("group_transfers_pkey")),
    )
    op.create_index(op.f("group_transfers_org_id_id_idx"), "group_transfers", ["org_id", "id"])
    op.create_index(op.f("group_transfers_to_id_id_idx"), "group_transfers", ["to_id", "id"])
    pending = sa.text("state = 'pending'")
    op.create_index(
        "group_transfers_one_open_key", "group_transfers", ["org_id", "to_id"], unique=True, postgresql_where=pending
    )
    op.create_index("group_transfers_waiting_idx", "group_transfers", ["to_id"], postgresql_where=pending)
    op.create_table(
        "group_transfer_people",
        sa.Column("transfer_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False, comment="the order of the request, from 1"),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False, comment="the org that the person leaves"),
        sa.Column("new_member_id", sa.Uuid(), nullable=True, comment="the row of the person in the receiving org"),
        sa.Column("obstacle", sa.Text(), nullable=True, comment="why the person was not transferred"),
        sa.CheckConstraint(
            "new_member_id IS NULL OR obstacle IS NULL", name=op.f("group_transfer_people_result_check")
        ),
        sa.ForeignKeyConstraint(
            ["transfer_id"], ["group_transfers.id"], name=op.f("group_transfer_people_transfer_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="group_transfer_people_member_fkey"
        ),
        sa.PrimaryKeyConstraint("transfer_id", "place", name=op.f("group_transfer_people_pkey")),
    )
    op.create_index(
        op.f("group_transfer_people_org_id_member_id_idx"), "group_transfer_people", ["org_id", "member_id"]
    )


def downgrade() -> None:
    op.drop_table("group_transfer_people")
    op.drop_table("group_transfers")
