"""The ledger of points, the facts that totals are folded from, the totals"""

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

# Triggers append the facts in the transaction that writes these tables.
FACTS = (
    """
CREATE FUNCTION append_place_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO place_facts (org_id, member_id) SELECT DISTINCT org_id, member_id FROM changed;
    RETURN NULL;
END $$
""",
    """
CREATE FUNCTION append_edge_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO edge_facts (org_id) SELECT DISTINCT subordinate_id FROM changed WHERE certified_at IS NOT NULL;
    RETURN NULL;
END $$
""",
    """
CREATE FUNCTION keep_member_phone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO member_phones (org_id, member_id, until, phone_index)
    VALUES (OLD.org_id, OLD.id, now(), OLD.phone_index) ON CONFLICT DO NOTHING;
    INSERT INTO place_facts (org_id, member_id) VALUES (OLD.org_id, OLD.id);
    RETURN NULL;
END $$
""",
    *(
        f"""
CREATE TRIGGER {table}_facts_{event.lower()} AFTER {event} ON {table}
    REFERENCING {"OLD" if event == "DELETE" else "NEW"} TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION append_{facts}()
"""
        for table, facts in (
            ("places", "place_facts"),
            ("activations", "place_facts"),
            ("certifications", "edge_facts"),
        )
        for event in ("INSERT", "UPDATE", "DELETE")
    ),
    """
CREATE TRIGGER members_phone_facts AFTER UPDATE OF phone_index ON members
    FOR EACH ROW WHEN (OLD.phone_index IS DISTINCT FROM NEW.phone_index) EXECUTE FUNCTION keep_member_phone()
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
    op.create_table(
        "place_facts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("place_facts_pkey")),
    )
    op.create_table(
        "edge_facts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("edge_facts_pkey")),
    )
    op.create_table(
        "member_phones",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "member_id", "until", name=op.f("member_phones_pkey")),
    )
    op.create_table(
        "standings",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("before", sa.Date(), nullable=False),
        sa.Column("person", sa.Uuid(), nullable=False),
        sa.Column("activated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "member_id", "since", name=op.f("standings_pkey")),
    )
    op.create_index(op.f("standings_person_idx"), "standings", ["person"])
    op.create_table(
        "tree_edges",
        sa.Column("subordinate_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("before", sa.Date(), nullable=False),
        sa.Column("superior_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("subordinate_id", "since", name=op.f("tree_edges_pkey")),
    )
    op.create_index(op.f("tree_edges_superior_id_idx"), "tree_edges", ["superior_id"])
    op.create_table(
        "kept_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("scored", sa.Boolean(), nullable=False),
        sa.Column("kept_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("kept_days_pkey")),
    )
    op.create_table(
        "org_totals",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *(
            sa.Column(f"{scope}{count}", sa.Integer(), nullable=False)
            for scope in ("own_", "")
            for count in ("members", "activated", "active_1", "active_7", "active_30")
        ),
        *(
            sa.Column(f"{scope}points_{days}", sa.BigInteger(), nullable=False)
            for scope in ("own_", "")
            for days in (1, 7, 30)
        ),
        sa.PrimaryKeyConstraint("org_id", "day", name=op.f("org_totals_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "org_scores",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("last_7", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "member_id", "day", name=op.f("org_scores_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index("org_scores_last_7_idx", "org_scores", ["org_id", sa.text("last_7 DESC"), "member_id"])
    op.create_index("org_scores_total_idx", "org_scores", ["org_id", sa.text("total DESC"), "member_id"])
    for trigger in (*APPEND_ONLY, *FACTS):
        op.execute(trigger)


def downgrade() -> None:
    for table in ("places", "activations", "certifications"):
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER {table}_facts_{event} ON {table}")
    op.execute("DROP TRIGGER members_phone_facts ON members")
    for function in ("append_place_facts", "append_edge_facts", "keep_member_phone"):
        op.execute(f"DROP FUNCTION {function}")
    for table in ("org_scores", "org_totals", "kept_days", "tree_edges", "standings"):
        op.drop_table(table)
    for table in ("member_phones", "edge_facts", "place_facts"):
        op.drop_table(table)
    op.drop_table("user_days")
    op.drop_table("point_facts")
    op.drop_table("point_events")
    op.drop_table("point_event_keys")
    op.execute("DROP FUNCTION make_partition")
    op.execute("DROP FUNCTION day_of")
    op.execute("DROP SCHEMA partitions")
