"""What the checks of the stored data have found"""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "health_checks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("findings", sa.BigInteger(), nullable=False, comment="how many things are wrong; 0: all is right"),
        sa.Column("checked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("health_checks_pkey")),
    )


def downgrade() -> None:
    op.drop_table("health_checks")
