"""Who had which phone when: a person is a phone until a user has it, then that user, in every org"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

# A rotation of the index key says so in its transactions (app.key_rotation.index_key): no phone changes then. The
# clock is read when the statement runs: where a phone changes hands, the one who gets it waits for the one who leaves
# it, so the ranges of a phone do not overlap.
TRIGGERS = (
    """
CREATE FUNCTION record_user_phone() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed_at timestamptz := clock_timestamp();
BEGIN
    IF current_setting('xuezu.reindexing', true) = 'on' THEN
        RETURN NEW;
    END IF;
    IF OLD.phone_index IS NOT NULL THEN
        INSERT INTO user_phones (user_id, until, since, phone_index)
        VALUES (OLD.id, changed_at, least(coalesce(OLD.phone_since, OLD.created_at), changed_at), OLD.phone_index);
    END IF;
    NEW.phone_since := CASE WHEN NEW.phone_index IS NOT NULL THEN changed_at END;
    INSERT INTO user_deltas (user_id) VALUES (OLD.id);
    RETURN NEW;
END $$
""",
    """
CREATE FUNCTION append_user_deltas() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_deltas (user_id) SELECT id FROM changed;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER users_phone_changed BEFORE UPDATE OF phone_index ON users
    FOR EACH ROW WHEN (OLD.phone_index IS DISTINCT FROM NEW.phone_index) EXECUTE FUNCTION record_user_phone()
""",
    """
CREATE TRIGGER users_deltas_insert AFTER INSERT ON users
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION append_user_deltas()
""",
)

# A user without `phone_since` has the phone since the account was created. For the others the audit has the last
# change; which phone they had before is not known.
CHANGED_PHONES = """
UPDATE users AS u SET phone_since = e.at
FROM (
    SELECT subject_id, max(at) AS at FROM audit_entries WHERE action = 'user.phone_changed' GROUP BY subject_id
) AS e
WHERE u.id = e.subject_id
"""
# The member rows that were not linked on some day on which a user had their phone: their person was the phone and is
# the user now. The rollup adds the difference to the stored days.
CHANGED_PEOPLE = """
INSERT INTO member_deltas (org_id, member_id)
SELECT m.org_id, m.id
FROM users AS u JOIN members AS m ON m.phone_index = u.phone_index
LEFT JOIN (
    SELECT org_id, member_id, min(since) AS since FROM unit_memberships GROUP BY org_id, member_id
) AS p ON p.org_id = m.org_id AND p.member_id = m.id
WHERE NOT EXISTS (
    SELECT FROM activations AS a
    WHERE a.org_id = m.org_id AND a.member_id = m.id
      AND day_of(a.since) <= day_of(greatest(p.since, coalesce(u.phone_since, u.created_at)))
      AND (a.until IS NULL OR m.removed_at IS NOT NULL AND day_of(a.until) >= day_of(m.removed_at))
)
UNION
SELECT h.org_id, h.member_id FROM users AS u JOIN member_phones AS h ON h.phone_index = u.phone_index
"""


def upgrade() -> None:
    # Without a default first, so that the rows that exist are not written again.
    op.add_column("users", sa.Column("phone_since", sa.DateTime(timezone=True), nullable=True))
    op.execute("ALTER TABLE users ALTER COLUMN phone_since SET DEFAULT clock_timestamp()")
    op.execute("COMMENT ON COLUMN users.phone_since IS 'NULL: since the account was created'")
    op.create_table(
        "user_phones",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("until >= since", name=op.f("user_phones_range_check")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("user_phones_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", "until", name=op.f("user_phones_pkey")),
    )
    op.create_index(op.f("user_phones_phone_index_idx"), "user_phones", ["phone_index"])
    op.create_table(
        "user_deltas",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("user_deltas_pkey")),
    )
    for statement in (*TRIGGERS, CHANGED_PHONES, CHANGED_PEOPLE):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER users_deltas_insert ON users")
    op.execute("DROP TRIGGER users_phone_changed ON users")
    op.execute("DROP FUNCTION append_user_deltas")
    op.execute("DROP FUNCTION record_user_phone")
    op.drop_table("user_deltas")
    op.drop_table("user_phones")
    op.drop_column("users", "phone_since")
