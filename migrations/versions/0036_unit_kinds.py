"""Party groups, and temporary branches with a last day. Earlier checks of members get the names of all others."""

import sqlalchemy as sa
from alembic import op

from app.database.indexes import create_index

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

KINDS = "kind IN ('branch', 'general_branch', 'department', 'party_group', 'temporary_branch')"
OLD_KINDS = "kind IN ('branch', 'general_branch', 'department')"
LAST_DAY = "(kind = 'temporary_branch') = (last_day IS NOT NULL)"
RENAMED = ("phone", "without_phone_inactive", "probationary")


def upgrade() -> None:
    op.add_column(
        "units", sa.Column("last_day", sa.Date(), nullable=True, comment="of a temporary branch, in Shanghai")
    )
    op.add_column(
        "units",
        sa.Column(
            "end_reported_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the admins were told that the temporary branch has ended",
        ),
    )
    op.execute("-- squawk-ignore ban-drop-constraint\nALTER TABLE units DROP CONSTRAINT units_kind_check")
    op.execute(f"ALTER TABLE units ADD CONSTRAINT units_kind_check CHECK ({KINDS}) NOT VALID")
    op.execute(f"ALTER TABLE units ADD CONSTRAINT units_last_day_check CHECK ({LAST_DAY}) NOT VALID")
    for name in RENAMED:
        rename = f"ALTER TABLE members RENAME CONSTRAINT ck_members_{name} TO members_{name}_check"
        op.execute(f"-- squawk-ignore renaming-object\n{rename}")
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE units VALIDATE CONSTRAINT units_kind_check")
        op.execute("ALTER TABLE units VALIDATE CONSTRAINT units_last_day_check")
    create_index(
        "units_last_day_idx",
        "units",
        ["last_day"],
        where="last_day IS NOT NULL AND end_reported_at IS NULL AND removed_at IS NULL",
    )


def downgrade() -> None:
    """Fails while there are units of the new kinds."""
    for name in RENAMED:
        op.execute(f"ALTER TABLE members RENAME CONSTRAINT members_{name}_check TO ck_members_{name}")
    op.execute("ALTER TABLE units DROP CONSTRAINT units_last_day_check")
    op.execute("ALTER TABLE units DROP CONSTRAINT units_kind_check")
    op.execute(f"ALTER TABLE units ADD CONSTRAINT units_kind_check CHECK ({OLD_KINDS})")
    op.drop_column("units", "end_reported_at")
    op.drop_column("units", "last_day")
