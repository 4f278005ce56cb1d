"""The ledger of points, and the days it is counted by"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FUNCTIONS = (
    # A day is a day in Asia/Shanghai, everywhere; written out in place by the planner.
    """
CREATE FUNCTION day_of(at timestamptz) RETURNS date LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (at AT TIME ZONE 'Asia/Shanghai')::date
""",
    # Partitions stand in a schema of their own: made as days come, they are not the schema that migrations describe.
    # Attaching lets others go on reading and writing; of two who want the same partition, the second finds it made.
    """
CREATE FUNCTION make_partition(parent text, since date, before date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := parent || '_' || to_char(since, 'YYYYMMDD');
BEGIN
    IF to_regclass('partitions.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('partitions.' || partition, 0));
    IF to_regclass('partitions.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE partitions.%I (LIKE %I INCLUDING ALL)', partition, parent);
    IF parent = 'point_events' THEN
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON partitions.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            partition || '_append_only', partition
        );
    END IF;
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (%L)', parent, partition, since, before
    );
END $$
""",
)

APPEND_ONLY = (
    """
CREATE TRIGGER point_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON point_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER point_event_keys_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON point_event_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)


def upgrade() -> None:
    op.execute("CREATE SCHEMA partitions")
    for function in FUNCTIONS:
        op.execute(function)
    op.create_table(
        "point_event_keys",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "event_id", name=op.f("point_event_keys_pkey")),
    )
    op.create_table(
        "point_events",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("points <> 0", name=op.f("point_events_points_check")),
        sa.PrimaryKeyConstraint("user_id", "day", "source", "event_id", name=op.f("point_events_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "point_facts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("user_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("days", postgresql.ARRAY(sa.Date()), nullable=False),
        sa.Column("points", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("point_facts_pkey")),
    )
    op.create_table(
        "user_days",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("user_days_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    for trigger in APPEND_ONLY:
        op.execute(trigger)


def downgrade() -> None:
    op.drop_table("user_days")
    op.drop_table("point_facts")
    op.drop_table("point_events")
    op.drop_table("point_event_keys")
    op.execute("DROP FUNCTION make_partition")
    op.execute("DROP FUNCTION day_of")
    op.execute("DROP SCHEMA partitions")
