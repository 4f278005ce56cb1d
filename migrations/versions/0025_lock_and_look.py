"""Functions that take a lock and then look at what it protects, in one round trip.

Each statement of such a function has a snapshot of its own, as it would have if the client had sent it: what is read
after the lock was waited for is as its last owner committed it.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_LOCK_ORG_SHARED = """
CREATE FUNCTION lock_org_shared(locked_id uuid, acting_id uuid, OUT status text, OUT admin boolean)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT o.status INTO status FROM orgs AS o WHERE o.id = locked_id FOR KEY SHARE;
    SELECT EXISTS (SELECT FROM org_admins AS a WHERE a.org_id = locked_id AND a.user_id = acting_id)
        INTO admin;
END $$
"""

_CLAIM_IDEMPOTENCY_KEY = """
CREATE FUNCTION claim_idempotency_key(
    claimed bytea, OUT free boolean, OUT request_hash bytea, OUT status int, OUT media_type text, OUT body_cipher bytea
)
LANGUAGE plpgsql AS $$
DECLARE
    object text := encode(claimed, 'hex');
BEGIN
    free := pg_try_advisory_xact_lock(hashtextextended(object, 3));
    IF free THEN
        SELECT k.request_hash, k.status, k.media_type, k.body_cipher FROM idempotency_keys AS k WHERE k.digest = claimed
            INTO request_hash, status, media_type, body_cipher;
    END IF;
END $$
"""


def upgrade() -> None:
    op.execute(_LOCK_ORG_SHARED)
    op.execute(_CLAIM_IDEMPOTENCY_KEY)


def downgrade() -> None:
    op.execute("DROP FUNCTION claim_idempotency_key")
    op.execute("DROP FUNCTION lock_org_shared")
