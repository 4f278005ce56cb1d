"""The people of an org who are not activated, in the order of a ranking"""

from alembic import op

from app.database.indexes import create_index

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    condition = "NOT activated AND before = 'infinity'"
    create_index("memberships_not_activated_idx", "memberships", ["org_id", "member_id"], where=condition)


def downgrade() -> None:
    op.drop_index("memberships_not_activated_idx", table_name="memberships")
