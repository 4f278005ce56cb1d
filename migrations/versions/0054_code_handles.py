"""A handle for each code that is sent to a phone

The codes that were sent are deleted: they are valid for five minutes, and no caller has a handle for them. The table is
made again, so that nothing waits for a scan of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

_DROP = "-- squawk-ignore ban-drop-table\nDROP TABLE phone_codes"


def _build_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
    ]


def upgrade() -> None:
    op.execute(_DROP)
    op.create_table(
        "phone_codes",
        sa.Column("handle_hash", sa.LargeBinary(), nullable=False),
        *_build_columns(),
        sa.PrimaryKeyConstraint("handle_hash", name="phone_codes_pkey"),
    )
    op.create_index("phone_codes_phone_index_idx", "phone_codes", ["phone_index"])


def downgrade() -> None:
    op.execute(_DROP)
    op.create_table(
        "phone_codes",
        *_build_columns(),
        sa.PrimaryKeyConstraint("phone_index", "purpose", name="phone_codes_pkey"),
    )
