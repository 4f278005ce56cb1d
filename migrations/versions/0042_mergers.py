"""An org merges into another org."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mergers",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("to_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("people", sa.Integer(), nullable=True),
        sa.Column("in_both", sa.Integer(), nullable=True),
        sa.Column("units", sa.Integer(), nullable=True),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')", name=op.f("mergers_state_check")
        ),
        sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name=op.f("mergers_decided_check")),
        sa.CheckConstraint(
            "num_nulls(people, in_both, units) = CASE state WHEN 'accepted' THEN 0 ELSE 3 END",
            name=op.f("mergers_result_check"),
        ),
        sa.CheckConstraint("to_id <> org_id", name=op.f("mergers_elsewhere_check")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("mergers_org_id_fkey")),
        sa.ForeignKeyConstraint(["to_id"], ["orgs.id"], name=op.f("mergers_to_id_fkey")),
        sa.ForeignKeyConstraint(["to_id", "unit_id"], ["units.org_id", "units.id"], name="mergers_unit_fkey"),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], name=op.f("mergers_requested_by_fkey")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("mergers_decided_by_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("mergers_pkey")),
    )
    op.create_index(op.f("mergers_org_id_id_idx"), "mergers", ["org_id", "id"])
    op.create_index(op.f("mergers_to_id_id_idx"), "mergers", ["to_id", "id"])
    op.create_index(
        "mergers_one_open_key", "mergers", ["org_id"], unique=True, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_index("mergers_waiting_idx", "mergers", ["to_id"], postgresql_where=sa.text("state = 'pending'"))


def downgrade() -> None:
    op.drop_table("mergers")
