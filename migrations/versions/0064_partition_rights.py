"""Partitions by a role without DDL, and the view for auditors

`make_partition` and `drop_partition` run with the rights of the owner of the schema, so that the service and its worker
need none. Each accepts only the tables, ranges and ages of the service: a caller with these two functions can neither
drop data that have not expired nor block a range that is needed later.
"""

from alembic import op

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None
oldest_code = "0062"

# The body qualifies its parameters with the name of the function, so that a renamed one would not run.
_COPY = """
DO $$ BEGIN
    EXECUTE replace(pg_get_functiondef('{0}(text, date, date)'::regprocedure), '{0}', '{1}');
END $$
"""
_MAKE = """
CREATE OR REPLACE FUNCTION make_partition(parent text, since date, before date) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    days date := CASE
        WHEN parent IN ('point_events', 'org_scores', 'org_totals') THEN since + 1
        WHEN parent = 'point_event_keys' AND since = key_period_of(since) THEN since + 16
        WHEN parent IN ('user_days', 'audit_entries', 'outgoing_events') AND extract(day FROM since) = 1
            THEN since + interval '1 month'
    END;
BEGIN
    IF before IS DISTINCT FROM days THEN
        RAISE EXCEPTION '% has no partition from % to %', parent, since, before USING ERRCODE = 'check_violation';
    END IF;
    -- In a function of the owner, current_user is the owner.
    IF before > day_of(now()) + 400 AND NOT pg_has_role(session_user, current_user, 'USAGE') THEN
        RAISE EXCEPTION 'only the owner makes a partition of %', since USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM create_partition(parent, since, before);
END $$
"""
_DROP = """
CREATE OR REPLACE FUNCTION drop_partition(parent text, partition text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    -- The days after which the clean-ups drop a partition, in app/**/retention.py.
    kept int := CASE parent
        WHEN 'org_scores' THEN 1 WHEN 'point_event_keys' THEN 31 WHEN 'outgoing_events' THEN 90
        WHEN 'org_totals' THEN 400
    END;
    ended date;
BEGIN
    SELECT p.before INTO ended FROM list_partitions(parent) AS p
    WHERE to_regclass(p.name) = to_regclass(partition)
      AND EXISTS (
          SELECT FROM pg_class WHERE oid = to_regclass(p.name) AND relnamespace = 'partitions'::regnamespace
      );
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is no partition of %', partition, parent USING ERRCODE = 'wrong_object_type';
    END IF;
    -- In a function of the owner, current_user is the owner.
    IF (kept IS NULL OR ended IS NULL OR ended > day_of(now()) - kept)
        AND NOT pg_has_role(session_user, current_user, 'USAGE')
    THEN
        RAISE EXCEPTION '% has not expired', partition USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('DROP TABLE %s', to_regclass(partition));
END $$
"""
_DROP_BEFORE = """
CREATE OR REPLACE FUNCTION drop_partition(parent text, partition text) RETURNS void LANGUAGE plpgsql AS $$
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
"""


def upgrade() -> None:
    op.execute(_COPY.format("make_partition", "create_partition"))
    op.execute("REVOKE EXECUTE ON FUNCTION create_partition(text, date, date) FROM PUBLIC")
    op.execute(_MAKE)
    op.execute(_DROP)
    op.execute("""
REVOKE EXECUTE ON FUNCTION make_partition(text, date, date), drop_partition(text, text) FROM PUBLIC
""")
    op.execute("-- squawk-ignore ban-drop-view\nDROP VIEW audit_trail")  # the addresses leave it
    op.execute("""
CREATE VIEW audit_trail WITH (security_barrier) AS
SELECT id, at, org_id, user_id, client_id, action, subject_type, subject_id, request_id FROM audit_entries
""")
    op.execute("COMMENT ON VIEW audit_trail IS 'the audit without names, addresses and values, for auditors'")


def downgrade() -> None:
    op.execute("DROP VIEW audit_trail")
    op.execute("""
CREATE VIEW audit_trail AS
SELECT id, at, org_id, user_id, client_id, address, request_id, action, subject_type, subject_id FROM audit_entries
""")
    op.execute(_COPY.format("create_partition", "make_partition"))
    op.execute("DROP FUNCTION create_partition")
    op.execute("GRANT EXECUTE ON FUNCTION make_partition(text, date, date), drop_partition(text, text) TO PUBLIC")
    op.execute(_DROP_BEFORE)
