"""Copies of people's own data"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "data_copies",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True, comment="in bytes"),
        sa.Column("content_cipher", sa.LargeBinary(), nullable=True, comment="the file, encrypted"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the row and its file are deleted after this time",
        ),
        sa.CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name="data_copies_state_check"),
        sa.CheckConstraint("(state = 'done') = (content_cipher IS NOT NULL)", name="data_copies_content_check"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="data_copies_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="data_copies_pkey"),
    )
    op.create_index("data_copies_expires_at_idx", "data_copies", ["expires_at"])
    op.create_index("data_copies_user_id_key", "data_copies", ["user_id"], unique=True)


def downgrade() -> None:
    op.drop_table("data_copies")
