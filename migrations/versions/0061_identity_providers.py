"""Attempts to prove a name at any provider, and their state there"""

import sqlalchemy as sa
from alembic import op

from app.database.indexes import create_index

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None

OLD_NAME, NAME = "verifications_verifications_method_check_check", "verifications_method_check"


def upgrade() -> None:
    for name, comment in (
        ("provider_token", "the provider's id, while it is under way"),
        ("provider_url", "the provider's page, while it is under way"),
    ):
        op.add_column("verifications", sa.Column(name, sa.Text(), nullable=True, comment=comment))
    op.alter_column(
        "verifications",
        "reference",
        comment="the secret in the address that the person opens",
        existing_comment="the provider's id of the verification",
    )
    _replace_check(OLD_NAME, NAME, "method ~ '^[a-z][a-z0-9-]{1,39}$'")
    create_index("verifications_provider_token_key", "verifications", ["method", "provider_token"], unique=True)


def downgrade() -> None:
    """Fails while there are verifications at other providers than Alipay."""
    op.drop_index("verifications_provider_token_key", table_name="verifications")
    _replace_check(NAME, OLD_NAME, "method IN ('alipay', 'id-card')")
    op.alter_column("verifications", "reference", comment="the provider's id of the verification")
    op.drop_column("verifications", "provider_url")
    op.drop_column("verifications", "provider_token")


def _replace_check(old: str, new: str, condition: str) -> None:
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE verifications DROP CONSTRAINT {old}")
    op.execute(f"ALTER TABLE verifications ADD CONSTRAINT {new} CHECK ({condition}) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE verifications VALIDATE CONSTRAINT {new}")
