"""A person who administers only closed orgs can close the account, because no admin can resign from a closed org."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_REFUSES = """
CREATE OR REPLACE FUNCTION users_no_longer_verified() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM org_admins{live} WHERE user_id = NEW.id) THEN
        RAISE EXCEPTION 'the user is an admin'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'users_admin_verified';
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute(_REFUSES.format(live=" JOIN orgs ON orgs.id = org_id AND orgs.status = 'live'"))


def downgrade() -> None:
    op.execute(_REFUSES.format(live=""))
