"""Accounts that have lost their phone to a person who got the number from the carrier"""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

OLD_NAME, NAME = "users_users_phone_check_check", "users_phone_check"


def upgrade() -> None:
    comment = "ended since another person has the number; the row is linked to none by this number without consent"
    op.add_column(
        "activations",
        sa.Column("phone_lost", sa.Boolean(), server_default=sa.text("false"), nullable=False, comment=comment),
    )
    _replace_check(OLD_NAME, NAME, "status <> 'closed' OR phone_index IS NULL")


def downgrade() -> None:
    """Fails while there are live accounts without a phone."""
    _replace_check(NAME, OLD_NAME, "(status = 'closed') = (phone_index IS NULL)")
    op.drop_column("activations", "phone_lost")


def _replace_check(old: str, new: str, condition: str) -> None:
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE users DROP CONSTRAINT {old}")
    op.execute(f"ALTER TABLE users ADD CONSTRAINT {new} CHECK ({condition}) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE users VALIDATE CONSTRAINT {new}")
