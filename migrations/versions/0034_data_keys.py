"""Which data keys encrypt the values; the first index key has a row too, which the first process adds"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "data_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column(
            "key_check", sa.LargeBinary(), nullable=False, comment="tells the key from any other, and nothing of it"
        ),
        sa.Column("used_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("data_keys_pkey")),
    )


def downgrade() -> None:
    op.execute("DELETE FROM index_rotations WHERE generation = 0")
    op.drop_table("data_keys")
