"""How far the day that comes is prepared"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prepared_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("people_before", sa.Uuid(), nullable=True),
        sa.Column("orgs_before", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("day", name=op.f("prepared_days_pkey")),
    )


def downgrade() -> None:
    op.drop_table("prepared_days")
