"""Enrolment codes of operators expire after a day"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operators", sa.Column("enrolment_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE operators SET enrolment_expires_at = now() + interval '1 day' WHERE enrolment_hash IS NOT NULL")


def downgrade() -> None:
    op.drop_column("operators", "enrolment_expires_at")
