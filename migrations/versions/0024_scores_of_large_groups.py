"""Scores in the order of points only for large groups"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# Both indexes change with every score, which is with every point event of everybody: an update then writes four pages
# at random instead of one. A ranking of up to a thousand people is sorted as fast as it is read off an index. So the
# scores of a day are divided: into those of large groups, with the indexes, and the rest, whose pages keep room for
# updates. Which groups are large is settled when the partition is made.
_MAKES = """
CREATE OR REPLACE FUNCTION make_partition(parent text, since date, before date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := parent || '_' || to_char(since, 'YYYYMMDD');
    {declared}
BEGIN
    IF to_regclass('partitions.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(partition, 4));
    -- The catalog itself is asked now: the look-up before may be answered from what this session remembers.
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = 'partitions'::regnamespace AND relname = partition) THEN
        RETURN;
    END IF;
    {created}
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
_CREATED = "EXECUTE format('CREATE TABLE partitions.%I (LIKE %I INCLUDING ALL)', partition, parent);"
_DIVIDED = """
    IF parent = 'org_scores' THEN
        SELECT string_agg(quote_literal(org_id), ', ') INTO large FROM (
            SELECT org_id FROM members WHERE user_id IS NOT NULL GROUP BY org_id HAVING count(*) >= 1000
        ) AS orgs;
    END IF;
    IF large IS NOT NULL THEN
        EXECUTE format(
            'CREATE TABLE partitions.%I (LIKE %I INCLUDING ALL) PARTITION BY LIST (org_id)', partition, parent
        );
        EXECUTE format(
            'CREATE TABLE partitions.%I PARTITION OF partitions.%I FOR VALUES IN (%s)',
            partition || '_large', partition, large
        );
        -- With the day, although there is but one: else no rank can be counted in the index alone.
        FOREACH points IN ARRAY ARRAY['last_7', 'total'] LOOP
            EXECUTE format(
                'CREATE INDEX ON partitions.%I (org_id, day, %I DESC, member_id)', partition || '_large', points
            );
        END LOOP;
        EXECUTE format(
            'CREATE TABLE partitions.%I PARTITION OF partitions.%I DEFAULT WITH (fillfactor = 80)',
            partition || '_rest', partition
        );
    ELSE
        {created}
        IF parent = 'org_scores' THEN
            EXECUTE format('ALTER TABLE partitions.%I SET (fillfactor = 80)', partition);
        END IF;
    END IF;
"""
# The days that are there keep their indexes. Readers go on while they are made, and until both others are dropped.
_KEEP_INDEXES = """
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'org_scores'::regclass LOOP
        EXECUTE format('CREATE INDEX ON %s (org_id, day, last_7 DESC, member_id)', partition);
        EXECUTE format('CREATE INDEX ON %s (org_id, day, total DESC, member_id)', partition);
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.execute(_MAKES.format(declared="large text; points text;", created=_DIVIDED.format(created=_CREATED)))
    op.execute(_KEEP_INDEXES)
    for points in ("last_7", "total"):
        op.execute(f"""
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX org_scores_day_{points}_idx
""")


def downgrade() -> None:
    for points in ("last_7", "total"):
        op.execute(f"""
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX org_scores_day_{points}_idx ON org_scores (org_id, day, {points} DESC, member_id)
""")
    op.execute(_MAKES.format(declared="", created=_CREATED))
