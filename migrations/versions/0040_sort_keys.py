"""Sort keys of orgs: lists by name go by pinyin, numerals by number

The clean-up `sort-keys` writes the keys of the orgs that exist. Until then they come first, in the order of their ids.
"""

import sqlalchemy as sa
from alembic import op

from app.database.indexes import create_index

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

LIVE = "state = 'live'"
# A live certification copies the key with the name, so that one index has the subordinates of an org in their order.
COPIES = (
    """
CREATE OR REPLACE FUNCTION copy_sort_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT sort_key INTO NEW.subordinate_sort_key FROM orgs WHERE id = NEW.subordinate_id;
    RETURN NEW;
END $$
""",
    """
CREATE OR REPLACE FUNCTION spread_sort_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE certifications SET subordinate_sort_key = NEW.sort_key
    WHERE subordinate_id = NEW.id AND state = 'live' AND subordinate_sort_key <> NEW.sort_key;
    RETURN NULL;
END $$
""",
    # A name that is changed without its key, as by the release before, has none until the clean-up writes it.
    """
CREATE OR REPLACE FUNCTION reset_sort_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.sort_key := '';
    RETURN NEW;
END $$
""",
    """
CREATE OR REPLACE TRIGGER orgs_renamed BEFORE UPDATE OF name ON orgs
    FOR EACH ROW WHEN (OLD.name <> NEW.name AND OLD.sort_key = NEW.sort_key) EXECUTE FUNCTION reset_sort_key()
""",
    """
CREATE OR REPLACE TRIGGER certifications_sort_key BEFORE INSERT OR UPDATE OF subordinate_name ON certifications
    FOR EACH ROW WHEN (NEW.state = 'live') EXECUTE FUNCTION copy_sort_key()
""",
    """
CREATE OR REPLACE TRIGGER orgs_sort_key AFTER UPDATE OF sort_key ON orgs
    FOR EACH ROW WHEN (OLD.sort_key <> NEW.sort_key) EXECUTE FUNCTION spread_sort_key()
""",
)
ORG_INDEXES = {
    "orgs_sort_key_id_idx": (["sort_key", "id"], None),
    "orgs_closed_by_key_idx": (["sort_key", "id"], "status = 'closed'"),
    "orgs_outside_party_by_key_idx": (["sort_key", "id"], "kind = 'outside_party'"),
    "orgs_without_sort_key_idx": (["id"], "sort_key = ''"),
}


def upgrade() -> None:
    for table, column in (("orgs", "sort_key"), ("certifications", "subordinate_sort_key")):
        op.execute(f"""ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} text COLLATE "C" NOT NULL DEFAULT ''""")
    for statement in COPIES:
        op.execute(statement)
    for name, (columns, where) in ORG_INDEXES.items():
        create_index(name, "orgs", columns, where=where)
    by_key = ["superior_id", "subordinate_sort_key", "subordinate_id"]
    create_index("certifications_by_sort_key_idx", "certifications", by_key, where=LIVE)
    op.execute("""
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS orgs_name_id_idx, orgs_closed_idx, orgs_outside_party_idx, certifications_by_name_idx
""")


def downgrade() -> None:
    op.drop_index("certifications_by_sort_key_idx", table_name="certifications")
    for name in ORG_INDEXES:
        op.drop_index(name, table_name="orgs")
    op.execute("DROP TRIGGER certifications_sort_key ON certifications")
    op.execute("DROP TRIGGER orgs_sort_key ON orgs")
    op.execute("DROP TRIGGER orgs_renamed ON orgs")
    op.execute("DROP FUNCTION reset_sort_key")
    op.execute("DROP FUNCTION copy_sort_key")
    op.execute("DROP FUNCTION spread_sort_key")
    op.drop_column("certifications", "subordinate_sort_key")
    op.drop_column("orgs", "sort_key")
    op.create_index("orgs_name_id_idx", "orgs", ["name", "id"])
    op.create_index("orgs_closed_idx", "orgs", ["name", "id"], postgresql_where=sa.text("status = 'closed'"))
    op.create_index(
        "orgs_outside_party_idx", "orgs", ["name", "id"], postgresql_where=sa.text("kind = 'outside_party'")
    )
    op.create_index(
        "certifications_by_name_idx",
        "certifications",
        ["superior_id", "subordinate_name"],
        postgresql_where=sa.text(LIVE),
    )
