"""An offer to a member is to the account that the member row is linked to, or it names the row's person.

An older offer has neither: it stays an offer to the user who has the phone.
"""

import sqlalchemy as sa
from alembic import op

from app.database.indexes import create_index

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLES = ("admin_invitations", "promotions")
_ACCOUNT = "the account that the member row was linked to; else whoever has the phone"
_NAME = "the name of a member row without an account; the verified name of the user must agree with it"
_REASON = "why it was declined: name-differs"


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("invitee_id", sa.Uuid(), nullable=True, comment=_ACCOUNT))
        op.add_column(table, sa.Column("invitee_name", sa.Text(), nullable=True, comment=_NAME))
        op.add_column(table, sa.Column("reason", sa.Text(), nullable=True, comment=_REASON))
        op.create_foreign_key(
            f"{table}_invitee_id_fkey", table, "users", ["invitee_id"], ["id"], postgresql_not_valid=True
        )
    with op.get_context().autocommit_block():
        for table in TABLES:
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_invitee_id_fkey")
    for table in TABLES:
        create_index(f"{table}_invitee_id_idx", table, ["invitee_id"], where="invitee_id IS NOT NULL")


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "invitee_id")
        op.drop_column(table, "invitee_name")
        op.drop_column(table, "reason")
