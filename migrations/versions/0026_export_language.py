"""The job of an export has the language of the person who requested it; the column of its own is no longer written.

It stays for the release before, which reads and writes it, and goes with the next one.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE exports ALTER COLUMN english SET DEFAULT false")
    op.execute("COMMENT ON COLUMN exports.english IS 'not used: the job has the language; goes with the next release'")


def downgrade() -> None:
    op.execute("COMMENT ON COLUMN exports.english IS NULL")
    op.execute("ALTER TABLE exports ALTER COLUMN english DROP DEFAULT")
