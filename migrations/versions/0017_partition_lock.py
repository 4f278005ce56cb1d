"""make_partition takes the lock that app.database.locks.Lock.PARTITION names"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_MAKES = """
CREATE OR REPLACE FUNCTION make_partition(parent text, since date, before date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := parent || '_' || to_char(since, 'YYYYMMDD');
BEGIN
    IF to_regclass('partitions.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended({key}));
    -- The catalog itself is asked now: the look-up before may be answered from what this session remembers.
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = 'partitions'::regnamespace AND relname = partition) THEN
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
"""


def upgrade() -> None:
    op.execute(_MAKES.format(key="partition, 4"))


def downgrade() -> None:
    op.execute(_MAKES.format(key="'partitions.' || partition, 0"))
