"""The security key that a session has proved"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    comment = "the security key that was proved; no reference"
    op.add_column("sessions", sa.Column("checked_key_id", sa.Uuid(), nullable=True, comment=comment))


def downgrade() -> None:
    op.drop_column("sessions", "checked_key_id")
