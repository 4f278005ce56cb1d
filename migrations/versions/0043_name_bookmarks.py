"""The bookmarks of the clean-up `stored-names`, which reads each table once"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "name_bookmarks",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False, comment="of orgs, the org itself"),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", name=op.f("name_bookmarks_pkey")),
    )
    op.execute("""
INSERT INTO name_bookmarks (table_name, org_id, id)
SELECT name, '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000'
FROM unnest(ARRAY['orgs', 'units', 'members']) AS name
""")


def downgrade() -> None:
    op.drop_table("name_bookmarks")
