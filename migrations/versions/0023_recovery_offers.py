"""An invitation of an admin can be a recovery: the person who accepts it becomes the main admin."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_COLUMNS = {"main_admin_before": "users", "superior_id": "orgs"}
_STATES = "'pending', 'accepted', 'declined', 'withdrawn', 'expired'"


def upgrade() -> None:
    validated = []
    for column, table in _COLUMNS.items():
        op.add_column("admin_invitations", sa.Column(column, sa.Uuid(), nullable=True))
        name = f"admin_invitations_{column}_fkey"
        op.create_foreign_key(name, "admin_invitations", table, [column], ["id"], postgresql_not_valid=True)
        validated.append(name)
    _allow(f"{_STATES}, 'superseded'", validated)


def downgrade() -> None:
    op.execute("DELETE FROM admin_invitations WHERE main_admin_before IS NOT NULL")
    _allow(_STATES, [])
    for column in _COLUMNS:
        op.drop_column("admin_invitations", column)


def _allow(states: str, validated: list[str]) -> None:
    """Replace the check of the states. The new one is added beside the old, so that no row is unchecked meanwhile."""
    name, new = "admin_invitations_state_check", "admin_invitations_state_check_new"
    op.execute(f"ALTER TABLE admin_invitations ADD CONSTRAINT {new} CHECK (state IN ({states})) NOT VALID")
    with op.get_context().autocommit_block():
        for constraint in (*validated, new):
            op.execute(f"ALTER TABLE admin_invitations VALIDATE CONSTRAINT {constraint}")
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE admin_invitations DROP CONSTRAINT {name}")
    renamed = f"RENAME CONSTRAINT {new} TO {name}"
    op.execute(f"-- squawk-ignore renaming-object\nALTER TABLE admin_invitations {renamed}")
