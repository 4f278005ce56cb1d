"""Closed orgs, and those for people outside the party, are found among many."""

from alembic import op

from app.database.indexes import create_index

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

RARE = {"orgs_closed_idx": "status = 'closed'", "orgs_outside_party_idx": "kind = 'outside_party'"}


def upgrade() -> None:
    for name, which in RARE.items():
        create_index(name, "orgs", ["name", "id"], where=which)


def downgrade() -> None:
    for name in RARE:
        op.drop_index(name, "orgs")
