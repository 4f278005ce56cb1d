"""What a rotation of the index key goes through in the order of its values"""

from alembic import op

from app.database.indexes import create_index

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INDEXES = (
    ("members_removed_phone_index_idx", "members", "phone_index", "removed_at IS NOT NULL"),
    ("member_phones_phone_index_idx", "member_phones", "phone_index", None),
    ("verifications_id_number_index_idx", "verifications", "id_number_index", None),
    ("admin_invitations_phone_index_idx", "admin_invitations", "phone_index", None),
    ("promotions_any_phone_index_idx", "promotions", "phone_index", None),
)


def upgrade() -> None:
    for name, table, column, where in INDEXES:
        create_index(name, table, [column], where=where)


def downgrade() -> None:
    for name, table, _, _ in INDEXES:
        op.drop_index(name, table_name=table)
