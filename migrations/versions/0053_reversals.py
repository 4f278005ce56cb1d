"""The admin who has undone an import"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

NAME = "imports_reversed_by_fkey"


def upgrade() -> None:
    op.add_column("imports", sa.Column("reversed_by", sa.Uuid(), nullable=True))
    op.execute(f"ALTER TABLE imports ADD CONSTRAINT {NAME} FOREIGN KEY (reversed_by) REFERENCES users (id) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE imports VALIDATE CONSTRAINT {NAME}")


def downgrade() -> None:
    op.drop_column("imports", "reversed_by")
