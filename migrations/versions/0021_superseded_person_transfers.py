"""A transfer whose person has left the org otherwise is stored as superseded; before, only reads said so."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# What was overdue when the person left has expired, which the clean-up stores.
_SUPERSEDE = """
UPDATE person_transfers AS t SET state = 'superseded', decided_at = m.removed_at
FROM members AS m
WHERE m.org_id = t.org_id AND m.id = t.member_id AND t.state = 'pending' AND m.removed_at < t.expires_at
"""


def upgrade() -> None:
    op.execute(_SUPERSEDE)


def downgrade() -> None:
    pass  # The release before reads both states.
