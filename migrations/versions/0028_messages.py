"""Messages to users"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True, comment="the org that the text names"),
        sa.Column("subject_type", sa.Text(), nullable=True, comment="the kind of request"),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column(
            "parameters",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="a reason, or counts; never a phone, never a text for display",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("messages_pkey")),
    )
    op.create_index("messages_unread_idx", "messages", ["user_id", "id"], postgresql_where=sa.text("read_at IS NULL"))
    op.create_index(op.f("messages_created_at_idx"), "messages", ["created_at"])


def downgrade() -> None:
    op.drop_table("messages")
