"""Ranks counted in an index alone, and in large groups by steps"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "score_steps",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False, comment="0: of seven days, 1: of all"),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "day", "kind", "step", name=op.f("score_steps_pkey")),
    )
    # An index of a partitioned table cannot be created or dropped concurrently. Only the rollup waits for it: the table
    # has the scores of a few days, and rankings can be read while the new indexes are created.
    for made in ("last_7", "total"):
        op.execute(f"""
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX org_scores_day_{made}_idx ON org_scores (org_id, day, {made} DESC, member_id)
""")
    for dropped in ("last_7", "total"):
        op.execute(f"""
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX org_scores_{dropped}_idx
""")


def downgrade() -> None:
    op.create_index("org_scores_last_7_idx", "org_scores", ["org_id", sa.text("last_7 DESC"), "member_id"])
    op.create_index("org_scores_total_idx", "org_scores", ["org_id", sa.text("total DESC"), "member_id"])
    op.drop_index("org_scores_day_total_idx", table_name="org_scores")
    op.drop_index("org_scores_day_last_7_idx", table_name="org_scores")
    op.drop_table("score_steps")
