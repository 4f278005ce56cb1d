"""Closed orgs, and those for people outside the party, are found among many."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

RARE = {"orgs_closed_idx": "status = 'closed'", "orgs_outside_party_idx": "kind = 'outside_party'"}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, which in RARE.items():
            op.create_index(
                name,
                "orgs",
                ["name", "id"],
                postgresql_where=sa.text(which),
                postgresql_concurrently=True,
                if_not_exists=True,
            )


def downgrade() -> None:
    for name in RARE:
        op.drop_index(name, "orgs")
