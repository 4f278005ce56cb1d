"""Counts of delivery receipts"""

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None
oldest_code = "0062"


def upgrade() -> None:
    comment = "`unknown` where the provider does not say"
    op.create_table(
        "sms_receipt_counts",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False, comment=comment),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("outcome IN ('delivered', 'failed')", name=op.f("sms_receipt_counts_outcome_check")),
        sa.PrimaryKeyConstraint("hour", "provider", "template", "outcome", name=op.f("sms_receipt_counts_pkey")),
    )


def downgrade() -> None:
    op.drop_table("sms_receipt_counts")
