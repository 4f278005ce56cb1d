"""Tables are named with the words of the field: unit memberships, memberships, delta rows, stored days.

The release before cannot read the new names: stop it first.
"""

from collections.abc import Iterator, Mapping

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

TABLES = {
    "places": "unit_memberships",
    "standings": "memberships",
    "place_facts": "member_deltas",
    "edge_facts": "edge_deltas",
    "point_facts": "point_deltas",
    "kept_days": "stored_days",
}
# Table by its new name: what of it begins with the old name.
CONSTRAINTS = {
    "unit_memberships": ["pkey", "member_fkey", "unit_fkey", "places_range_check_check"],
    "memberships": ["pkey"],
    "member_deltas": ["pkey"],
    "edge_deltas": ["pkey"],
    "point_deltas": ["pkey"],
    "stored_days": ["pkey"],
}
INDEXES = {
    "unit_memberships": ["org_id_member_id_unit_id_key", "org_id_unit_id_member_id_idx"],
    "memberships": ["person_idx"],
}
SEQUENCES = {"member_deltas": ["id_seq"], "edge_deltas": ["id_seq"], "point_deltas": ["id_seq"]}
NOT_NULL = {
    "unit_memberships": ["id", "member_id", "org_id", "since"],
    "memberships": ["activated", "before", "member_id", "org_id", "person", "since"],
    "member_deltas": ["at", "id", "member_id", "org_id"],
    "edge_deltas": ["at", "id", "org_id"],
    "point_deltas": ["days", "id", "points", "user_ids"],
    "stored_days": ["day", "kept_since", "scored"],
}
FUNCTIONS = {
    "places_live_unit": "unit_memberships_live_unit",
    "append_place_facts": "append_member_deltas",
    "append_edge_facts": "append_edge_deltas",
}
# Table by its new name: its triggers, old and new name.
TRIGGERS = {
    "unit_memberships": {
        "places_live_unit": "unit_memberships_live_unit",
        "places_facts_insert": "unit_memberships_deltas_insert",
        "places_facts_update": "unit_memberships_deltas_update",
        "places_facts_delete": "unit_memberships_deltas_delete",
    },
    "activations": {
        "activations_facts_insert": "activations_deltas_insert",
        "activations_facts_update": "activations_deltas_update",
        "activations_facts_delete": "activations_deltas_delete",
    },
    "members": {"members_phone_facts": "members_phone_deltas"},
    "certifications": {
        "certifications_facts_insert": "certifications_deltas_insert",
        "certifications_facts_update": "certifications_deltas_update",
        "certifications_facts_delete": "certifications_deltas_delete",
    },
}
# The functions that name a table, by its old name in braces.
BODIES = (
    """
CREATE OR REPLACE FUNCTION units_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM units WHERE org_id = NEW.org_id AND parent_id = NEW.id AND removed_at IS NULL) THEN
        RAISE EXCEPTION 'the unit has units under it'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'units_removed_leaf';
    END IF;
    IF EXISTS (SELECT FROM {places} WHERE org_id = NEW.org_id AND unit_id = NEW.id AND until IS NULL) THEN
        RAISE EXCEPTION 'the unit has members'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'units_removed_empty';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION {places_live_unit}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM placed AS p JOIN units AS u ON u.org_id = p.org_id AND u.id = p.unit_id
        WHERE p.until IS NULL AND u.removed_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'the unit was removed'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = '{places}_unit_fkey';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION {append_place_facts}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {place_facts} (org_id, member_id) SELECT DISTINCT org_id, member_id FROM changed;
    RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION {append_edge_facts}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {edge_facts} (org_id) SELECT DISTINCT subordinate_id FROM changed WHERE certified_at IS NOT NULL;
    RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION keep_member_phone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('xuezu.reindexing', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO member_phones (org_id, member_id, until, phone_index)
    VALUES (OLD.org_id, OLD.id, now(), OLD.phone_index) ON CONFLICT DO NOTHING;
    INSERT INTO {place_facts} (org_id, member_id) VALUES (OLD.org_id, OLD.id);
    RETURN NULL;
END $$
""",
)


def upgrade() -> None:
    """In one transaction, with the service stopped: no process reads the old names."""
    for rename, old, new in renames():
        op.execute(f"-- squawk-ignore renaming-table, renaming-column, renaming-object\n{rename.format(old, new)}")
    write_functions(TABLES | FUNCTIONS)


def downgrade() -> None:
    for rename, old, new in reversed(list(renames())):
        op.execute(rename.format(new, old))
    write_functions({old: old for old in TABLES | FUNCTIONS})


def renames() -> Iterator[tuple[str, str, str]]:
    """Each renaming: the statement, the old name and the new one."""
    for old, new in TABLES.items():
        yield "ALTER TABLE {} RENAME TO {}", old, new
        for part in CONSTRAINTS[new]:
            yield f"ALTER TABLE {new} RENAME CONSTRAINT {{}} TO {{}}", f"{old}_{part}", _renamed(part, old, new)
        for column in NOT_NULL[new]:
            part = f"{column}_not_null"
            yield f"ALTER TABLE {new} RENAME CONSTRAINT {{}} TO {{}}", f"{old}_{part}", _renamed(part, old, new)
        for part in INDEXES.get(new, []):
            yield "ALTER INDEX {} RENAME TO {}", f"{old}_{part}", f"{new}_{part}"
        for part in SEQUENCES.get(new, []):
            yield "ALTER SEQUENCE {} RENAME TO {}", f"{old}_{part}", f"{new}_{part}"
    yield "ALTER TABLE stored_days RENAME COLUMN {} TO {}", "kept_since", "stored_since"
    for old, new in FUNCTIONS.items():
        yield "ALTER FUNCTION {} RENAME TO {}", old, new
    for table, triggers in TRIGGERS.items():
        for old, new in triggers.items():
            yield f"ALTER TRIGGER {{}} ON {table} RENAME TO {{}}", old, new


def _renamed(part: str, old: str, new: str) -> str:
    return f"{new}_{part.replace(old, new).replace('kept_since', 'stored_since')}"


def write_functions(names: Mapping[str, str]) -> None:
    for body in BODIES:
        op.execute(body.format_map(names))
