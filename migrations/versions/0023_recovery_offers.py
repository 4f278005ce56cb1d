"""An invitation of an admin can be a recovery: whoever accepts it becomes the main admin."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_COLUMNS = {"main_admin_before": "users", "superior_id": "orgs"}
_STATES = "'pending', 'accepted', 'declined', 'withdrawn', 'expired'"


def upgrade() -> None:
    for column, table in _COLUMNS.items():
        op.add_column("admin_invitations", sa.Column(column, sa.Uuid(), nullable=True))
        name = f"admin_invitations_{column}_fkey"
        op.create_foreign_key(name, "admin_invitations", table, [column], ["id"], postgresql_not_valid=True)
        op.execute(f"ALTER TABLE admin_invitations VALIDATE CONSTRAINT {name}")
    _allow(f"{_STATES}, 'superseded'")


def downgrade() -> None:
    op.execute("DELETE FROM admin_invitations WHERE main_admin_before IS NOT NULL")
    _allow(_STATES)
    for column in _COLUMNS:
        op.drop_column("admin_invitations", column)


def _allow(states: str) -> None:
    # The wider check is added beside the old one, so that no row is unchecked.
    name, new = "admin_invitations_state_check", "admin_invitations_state_check_new"
    op.execute(f"ALTER TABLE admin_invitations ADD CONSTRAINT {new} CHECK (state IN ({states})) NOT VALID")
    op.execute(f"ALTER TABLE admin_invitations VALIDATE CONSTRAINT {new}")
    op.execute(f"ALTER TABLE admin_invitations DROP CONSTRAINT {name}")
    op.execute(f"ALTER TABLE admin_invitations RENAME CONSTRAINT {new} TO {name}")
