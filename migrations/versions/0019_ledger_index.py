"""The ledger is indexed by user and day; against doubles the table of keys guards alone"""

import sqlalchemy as sa
from alembic import op

from app.database.indexes import create_index

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_WITHOUT_INDEX = sa.text("""
SELECT p.inhrelid::regclass::text FROM pg_inherits AS p
WHERE p.inhparent = 'point_events'::regclass AND NOT EXISTS (
    SELECT FROM pg_inherits AS i JOIN pg_index AS x ON x.indexrelid = i.inhrelid
    WHERE i.inhparent = 'point_events_user_id_day_idx'::regclass AND x.indrelid = p.inhrelid
)
""")

_REQUIRE_VALID = """
DO $$ BEGIN
    IF NOT (SELECT indisvalid FROM pg_index WHERE indexrelid = 'point_events_user_id_day_idx'::regclass) THEN
        RAISE EXCEPTION 'a partition of point_events has no index by user and day'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END $$
"""


def upgrade() -> None:
    """Build the index a partition at a time and concurrently, so that events are taken meanwhile.

    A migration that was killed goes on with the partitions that are left.
    """
    op.execute("""
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS point_events_user_id_day_idx ON ONLY point_events (user_id, day)
""")
    partitions = [] if op.get_context().as_sql else op.get_bind().scalars(_WITHOUT_INDEX).all()
    for partition in partitions:
        table = partition.removeprefix("partitions.")
        index = f"{table}_user_id_day_idx"
        create_index(index, table, ["user_id", "day"], schema="partitions")
        op.execute(f"ALTER INDEX point_events_user_id_day_idx ATTACH PARTITION partitions.{index}")
    op.execute(_REQUIRE_VALID)
    op.execute("""
-- squawk-ignore ban-drop-constraint
ALTER TABLE point_events DROP CONSTRAINT point_events_pkey
""")


def downgrade() -> None:
    op.create_primary_key("point_events_pkey", "point_events", ["user_id", "day", "source", "event_id"])
    op.drop_index("point_events_user_id_day_idx", "point_events")
