"""The oldest code that can run on the schema of each revision

The code of revision 0062 runs on this schema too, but its start-up check and its readiness still demand their own
revision.
"""

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None
oldest_code = "0062"


def upgrade() -> None:
    op.create_table(
        "schema_compatibility",
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column(
            "oldest_code", sa.Text(), nullable=False, comment="the oldest revision whose code can run on this schema"
        ),
        sa.Column("migrated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("schema_compatibility_pkey")),
    )


def downgrade() -> None:
    op.drop_table("schema_compatibility")
