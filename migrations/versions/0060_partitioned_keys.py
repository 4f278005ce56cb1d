"""The keys of point events by period, audit entries and outgoing events by month

Each table becomes the first partition of a new table with its name: no row is copied. A check constraint, validated
while rows are written, spares the attachment its scan under lock. The first partition takes rows until a later bound,
so both releases write the same partition while this one rolls out.
"""

from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    # The smallest version 7 UUID (RFC 9562) of a day in Asia/Shanghai, as a bound of tables that are partitioned by id.
    """
CREATE FUNCTION first_uuid_of(day date) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CAST(
    lpad(to_hex((extract(epoch FROM day::timestamp AT TIME ZONE 'Asia/Shanghai') * 1000)::bigint), 12, '0')
    || '70008000000000000000' AS uuid
)
""",
    # Days of the bounds of each partition, `since` inclusive and `before` exclusive; '-infinity' for MINVALUE. The
    # planner may evaluate these expressions for any row of pg_class: they are NULL there and raise no error.
    """
CREATE FUNCTION list_partitions(parent text, OUT name text, OUT since date, OUT before date)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
    SELECT b.name, CASE WHEN b.bounds[1] = 'MINVALUE' THEN '-infinity' ELSE bound_day(b.bounds[1]) END,
        bound_day(b.bounds[2])
    FROM (
        SELECT c.oid::regclass::text AS name,
            regexp_match(
                pg_get_expr(c.relpartbound, c.oid), $re$^FOR VALUES FROM \\('?([^')]*)'?\\) TO \\('?([^')]*)'?\\)$re$
            ) AS bounds
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(parent)
    ) AS b
$$
""",
    # The one way to drop a partition. It refuses whatever is not a partition of the named table.
    """
CREATE FUNCTION drop_partition(parent text, partition text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass(parent) AND i.inhrelid = to_regclass(partition)
          AND c.relnamespace = 'partitions'::regnamespace
    ) THEN
        RAISE EXCEPTION '% is no partition of %', partition, parent USING ERRCODE = 'wrong_object_type';
    END IF;
    EXECUTE format('DROP TABLE %s', to_regclass(partition));
END $$
""",
)
_BOUND_DAY = """
CREATE FUNCTION bound_day(bound text) RETURNS date LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN bound ~ '^\\d{4}-\\d\\d-\\d\\d$' THEN bound::date
        WHEN bound ~ '^[0-9a-f]{8}-[0-9a-f-]{27}$'
            THEN (uuid_extract_timestamp(bound::uuid) AT TIME ZONE 'Asia/Shanghai')::date
    END
$$
"""

_MAKES = """
CREATE OR REPLACE FUNCTION make_partition(parent text, since date, before date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition text := parent || '_' || to_char(since, 'YYYYMMDD');
    large text; points text; first text := since; last text := before;
BEGIN
    IF to_regclass('partitions.' || partition) IS NOT NULL{covered} THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(partition, 4));
    -- The catalog itself is asked now: the look-up before may be answered from what this session remembers.
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = 'partitions'::regnamespace AND relname = partition) THEN
        RETURN;
    END IF;
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
        EXECUTE format('CREATE TABLE partitions.%I (LIKE %I INCLUDING ALL)', partition, parent);
        IF parent = 'org_scores' THEN
            EXECUTE format('ALTER TABLE partitions.%I SET (fillfactor = 80)', partition);
        END IF;
    END IF;
    {kinds}
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION partitions.%I FOR VALUES FROM (%L) TO (%L)', parent, partition, first, last
    );
END $$
"""
_TRIGGER = """
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON partitions.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
            partition || '_append_only', partition
        );
    END IF;
"""
_KINDS_BEFORE = f"IF parent = 'point_events' THEN{_TRIGGER}"
_KINDS = f"""IF parent IN ('point_events', 'point_event_keys', 'audit_entries', 'outgoing_events') THEN{_TRIGGER}
    IF parent = 'point_event_keys' THEN
        -- Unique within the period, without the column of the period: an index over all partitions would need it.
        EXECUTE format('ALTER TABLE partitions.%I ADD PRIMARY KEY (source, event_id)', partition);
    ELSIF parent IN ('audit_entries', 'outgoing_events') THEN
        first := first_uuid_of(since); last := first_uuid_of(before);
    END IF;
"""
_COVERED = """ OR EXISTS (
        SELECT FROM list_partitions(parent) AS p
        WHERE p.since <= make_partition.since AND p.before >= make_partition.before
    )"""

_FIRST_BOUND = {
    "point_event_keys": ("since", "key_period_of('2000-01-01') + 16"),
    "audit_entries": ("id", "first_uuid_of(date_trunc('month', day_of(now()) + 45)::date)"),
    "outgoing_events": ("id", "first_uuid_of(date_trunc('month', day_of(now()) + 45)::date)"),
}
# The first day of the period of 16 days in which an event arrives (app.points.keys). Everything up to the end of the
# next period belongs to that one, with all rows present: until then, a release that knows no periods counts no event
# twice, because it writes the partition that it has always written. A constant default of a new column rewrites
# nothing.
_ADD_PERIOD = """
DO $$
DECLARE
    first date := date '2000-01-01' + ((day_of(now()) - date '2000-01-01') / 16 + 1) * 16;
BEGIN
    ALTER TABLE point_event_keys DROP COLUMN IF EXISTS since;
    EXECUTE format($f$
        CREATE OR REPLACE FUNCTION key_period_of(day date) RETURNS date LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
        RETURN greatest(date %L, date '2000-01-01' + (day - date '2000-01-01') / 16 * 16)
    $f$, first);
    EXECUTE format('ALTER TABLE point_event_keys ADD COLUMN since date NOT NULL DEFAULT %L', first);
    ALTER TABLE point_event_keys ALTER COLUMN since SET DEFAULT key_period_of(day_of(now()));
END $$
"""
_CONSTRAIN = """
DO $$ BEGIN
    ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_first_partition_check;
    EXECUTE format(
        'ALTER TABLE {table} ADD CONSTRAINT {table}_first_partition_check CHECK ({column} < %L) NOT VALID', {bound}
    );
END $$
"""
_SWAP = """
DO $$
DECLARE
    -- The bound that was validated: a migration that was killed may go on in another month.
    bound text := (
        SELECT substring(pg_get_constraintdef(oid) FROM $re$'([^']+)'$re$) FROM pg_constraint
        WHERE conname = '{table}_first_partition_check' AND conrelid = '{table}'::regclass
    );
    index_name text;
BEGIN
    ALTER TABLE {table} RENAME TO {table}_first;
    FOR index_name IN SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '{table}_first'::regclass LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', index_name, replace(index_name, '{table}', '{table}_first'));
    END LOOP;
    ALTER TABLE {table}_first SET SCHEMA partitions;
    CREATE TABLE {table} (LIKE partitions.{table}_first INCLUDING DEFAULTS INCLUDING COMMENTS)
        PARTITION BY RANGE ({column});
    {indexes}
    EXECUTE format(
        'ALTER TABLE {table} ATTACH PARTITION partitions.{table}_first FOR VALUES FROM (MINVALUE) TO (%L)', bound
    );
    ALTER TABLE partitions.{table}_first DROP CONSTRAINT {table}_first_partition_check;
    CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
END $$
"""
_INDEXES = {
    "point_event_keys": "",
    "audit_entries": """
    ALTER TABLE audit_entries ADD CONSTRAINT audit_entries_pkey PRIMARY KEY (id);
    CREATE INDEX audit_entries_org_id_id_idx ON audit_entries (org_id, id);
""",
    "outgoing_events": """
    ALTER TABLE outgoing_events ADD CONSTRAINT outgoing_events_pkey PRIMARY KEY (id);
    CREATE INDEX outgoing_events_transaction_id_idx ON outgoing_events (transaction, id);
""",
}
_MAKE_MONTHS = """
SELECT make_partition('{table}', month::date, (month + interval '1 month')::date)
FROM generate_series(
    (SELECT max(before) FROM list_partitions('{table}')), day_of(now()) + interval '6 months', interval '1 month'
) AS month
"""


def upgrade() -> None:
    op.execute(_BOUND_DAY.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    for function in _FUNCTIONS:
        op.execute(function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.execute(_MAKES.format(covered=_COVERED, kinds=_KINDS))
    op.execute(_ADD_PERIOD)
    for table, (column, bound) in _FIRST_BOUND.items():
        op.execute(_CONSTRAIN.format(table=table, column=column, bound=bound))
    with op.get_context().autocommit_block():
        for table in _FIRST_BOUND:  # reads the whole table; rows are written meanwhile
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_first_partition_check")
    for table, (column, _) in _FIRST_BOUND.items():
        op.execute(_SWAP.format(table=table, column=column, indexes=_INDEXES[table]))
    for table in ("audit_entries", "outgoing_events"):
        op.execute(_MAKE_MONTHS.format(table=table))


def downgrade() -> None:
    """Put the rows into plain tables again. This copies them."""
    for table in _FIRST_BOUND:
        op.execute(f"CREATE TABLE {table}_plain (LIKE partitions.{table}_first INCLUDING ALL)")
        op.execute(f"INSERT INTO {table}_plain SELECT * FROM {table}")  # noqa: S608 — constants
        op.execute(f"DROP TABLE {table}")
        op.execute(f"ALTER TABLE {table}_plain RENAME TO {table}")
        op.execute(f"ALTER INDEX {table}_plain_pkey RENAME TO {table}_pkey")
        op.execute(f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""")
    op.execute("ALTER INDEX audit_entries_plain_org_id_id_idx RENAME TO audit_entries_org_id_id_idx")
    op.execute("ALTER INDEX outgoing_events_plain_transaction_id_idx RENAME TO outgoing_events_transaction_id_idx")
    op.execute("ALTER TABLE point_event_keys DROP COLUMN since")
    op.execute(_MAKES.format(covered="", kinds=_KINDS_BEFORE))
    for function in ("drop_partition", "list_partitions", "bound_day", "first_uuid_of", "key_period_of"):
        op.execute(f"DROP FUNCTION {function}")
