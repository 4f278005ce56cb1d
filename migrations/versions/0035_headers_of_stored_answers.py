"""Headers of the answers stored for an `Idempotency-Key`

A repeated request gets the `Location`, the `ETag` and the instructions for a page's script that the first one got.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "idempotency_keys", sa.Column("headers", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("idempotency_keys", "headers")
