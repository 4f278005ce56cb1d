"""A member row may have no phone: its person has no mobile phone.

The version before this one cannot read such a row. Add none before it is gone everywhere.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

COLUMNS = (
    ("members", "phone_cipher"),
    ("members", "phone_index"),
    ("members", "phone_last4_index"),
    ("member_phones", "phone_index"),
)
CHECKS = {
    "ck_members_phone": "num_nulls(phone_cipher, phone_index, phone_last4_index) IN (0, 3)",
    "ck_members_without_phone_inactive": "phone_index IS NOT NULL OR user_id IS NULL",
}
_COMMENT = "NULL: the row had no phone until then"


def upgrade() -> None:
    for table, column in COLUMNS:
        op.execute(f"-- squawk-ignore ban-drop-not-null\nALTER TABLE {table} ALTER {column} DROP NOT NULL")
    op.alter_column("member_phones", "phone_index", comment=_COMMENT)
    for name, condition in CHECKS.items():
        op.execute(f"ALTER TABLE members ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
    with op.get_context().autocommit_block():
        for name in CHECKS:
            op.execute(f"ALTER TABLE members VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Fails while there are people without a phone."""
    for name in CHECKS:
        op.execute(f"ALTER TABLE members DROP CONSTRAINT {name}")
    op.alter_column("member_phones", "phone_index", comment=None, existing_comment=_COMMENT)
    for table, column in COLUMNS:
        op.alter_column(table, column, nullable=False)
