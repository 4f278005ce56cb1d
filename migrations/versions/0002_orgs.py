"""Orgs, units, admins, certification, transfers, audit, stored answers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_):
        return "xid8"


revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# History is never rewritten: not by the service, not by a migration, not by a statement typed in psql.
APPEND_ONLY = (
    """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
""",
    """
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER outgoing_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outgoing_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)

# Single characters and pairs of neighbours, for search. plpgsql on purpose: ten times as fast as the same in SQL.
NAME_GRAMS = """
CREATE FUNCTION name_grams(name text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    lowered text := lower(name);
    grams text[] := string_to_array(lowered, NULL);
BEGIN
    FOR i IN 1 .. length(lowered) - 1 LOOP
        grams := grams || substr(lowered, i, 2);
    END LOOP;
    RETURN grams;
END
$$
"""

# Each statement of a volatile function sees what committed before it began: the lock first, the look after it.
# The key is app.database.locks.Lock.HIERARCHY.
HIERARCHY = (
    """
CREATE FUNCTION certifications_hierarchy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(517365660277);
    IF EXISTS (SELECT FROM orgs WHERE id IN (NEW.superior_id, NEW.subordinate_id) AND status <> 'live') THEN
        RAISE EXCEPTION 'a closed organisation has no edges'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'certifications_live_orgs';
    END IF;
    IF EXISTS (
        WITH RECURSIVE above (id) AS (
            SELECT NEW.superior_id
            UNION
            SELECT c.superior_id FROM certifications c JOIN above a ON c.subordinate_id = a.id
            WHERE c.state = 'certified' AND c.id <> NEW.id
        )
        SELECT FROM above WHERE id = NEW.subordinate_id
    ) THEN
        RAISE EXCEPTION 'the edge would close a circle'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'certifications_no_circle';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER certifications_begun BEFORE INSERT ON certifications
    FOR EACH ROW WHEN (NEW.state = 'certified') EXECUTE FUNCTION certifications_hierarchy()
""",
    # A rename writes the row too, by its reference, and holds the org by then: it must not ask for the hierarchy.
    """
CREATE TRIGGER certifications_changed BEFORE UPDATE ON certifications
    FOR EACH ROW WHEN (NEW.state = 'certified' AND (OLD.state, OLD.superior_id, OLD.subordinate_id)
        IS DISTINCT FROM (NEW.state, NEW.superior_id, NEW.subordinate_id))
    EXECUTE FUNCTION certifications_hierarchy()
""",
    """
CREATE FUNCTION orgs_closing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(517365660277);
    IF EXISTS (
        SELECT FROM certifications WHERE state = 'certified' AND NEW.id IN (superior_id, subordinate_id)
    ) THEN
        RAISE EXCEPTION 'a closed organisation has no edges'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'orgs_closed_alone';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER orgs_closing BEFORE UPDATE OF status ON orgs
    FOR EACH ROW WHEN (NEW.status = 'closed') EXECUTE FUNCTION orgs_closing()
""",
)

# The unit tree of one org: edits take the org's row, then look. A new unit goes behind its siblings.
UNITS = (
    """
CREATE FUNCTION units_tree() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM orgs WHERE id = NEW.org_id FOR NO KEY UPDATE;
    IF NEW.position IS NULL THEN
        NEW.position := (
            SELECT coalesce(max(position) + 1, 0) FROM units
            WHERE org_id = NEW.org_id AND parent_id IS NOT DISTINCT FROM NEW.parent_id AND removed_at IS NULL
        );
    END IF;
    IF EXISTS (SELECT FROM units WHERE org_id = NEW.org_id AND id = NEW.parent_id AND removed_at IS NOT NULL) THEN
        RAISE EXCEPTION 'the parent was removed'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'units_parent_fkey';
    END IF;
    IF EXISTS (
        WITH RECURSIVE above (id) AS (
            SELECT NEW.parent_id
            UNION
            SELECT u.parent_id FROM units u JOIN above a ON u.id = a.id WHERE u.org_id = NEW.org_id
        )
        SELECT FROM above WHERE id = NEW.id
    ) THEN
        RAISE EXCEPTION 'a unit would stand under itself'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'units_no_circle';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER units_tree BEFORE INSERT OR UPDATE OF parent_id ON units
    FOR EACH ROW EXECUTE FUNCTION units_tree()
""",
    # Against somebody who is just being placed there: a reference to the unit holds its row, and this waits for it.
    """
CREATE FUNCTION units_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM orgs WHERE id = NEW.org_id FOR NO KEY UPDATE;
    PERFORM FROM units WHERE org_id = NEW.org_id AND id = NEW.id FOR UPDATE;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER units_hold BEFORE UPDATE OF removed_at ON units
    FOR EACH ROW WHEN (NEW.removed_at IS NOT NULL AND OLD.removed_at IS NULL) EXECUTE FUNCTION units_hold()
""",
    """
CREATE FUNCTION units_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM units WHERE org_id = NEW.org_id AND parent_id = NEW.id AND removed_at IS NULL) THEN
        RAISE EXCEPTION 'units stand under it'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'units_removed_leaf';
    END IF;
    IF EXISTS (SELECT FROM places WHERE org_id = NEW.org_id AND unit_id = NEW.id AND until IS NULL) THEN
        RAISE EXCEPTION 'people stand in it'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'units_removed_empty';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER units_removal AFTER UPDATE OF removed_at ON units
    FOR EACH ROW WHEN (NEW.removed_at IS NOT NULL AND OLD.removed_at IS NULL) EXECUTE FUNCTION units_removal()
""",
)

# Every admin is a verified person with a live account (S1), whichever of the two rows changes.
ADMINS = (
    """
CREATE FUNCTION org_admins_verified() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM users WHERE id = NEW.user_id AND verified_at IS NOT NULL AND status <> 'closed' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'an admin is a verified person'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'org_admins_verified';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER org_admins_verified BEFORE INSERT OR UPDATE OF user_id ON org_admins
    FOR EACH ROW EXECUTE FUNCTION org_admins_verified()
""",
    """
CREATE FUNCTION users_no_longer_verified() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM org_admins WHERE user_id = NEW.id) THEN
        RAISE EXCEPTION 'the user is an admin'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'users_admin_verified';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER users_no_longer_verified AFTER UPDATE OF verified_at, status ON users
    FOR EACH ROW WHEN (NEW.verified_at IS NULL OR NEW.status = 'closed') EXECUTE FUNCTION users_no_longer_verified()
""",
)


def upgrade() -> None:
    op.execute(NAME_GRAMS)
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("address", postgresql.INET(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_type", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_entries_pkey")),
    )
    op.create_index(op.f("audit_entries_org_id_id_idx"), "audit_entries", ["org_id", "id"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("body_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("idempotency_keys_pkey")),
    )
    op.create_table(
        "outgoing_events",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("transaction", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=True),
        sa.Column("subject_type", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("audit_entry_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("outgoing_events_pkey")),
    )
    op.create_index(op.f("outgoing_events_transaction_id_idx"), "outgoing_events", ["transaction", "id"], unique=False)
    op.create_table(
        "orgs",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "name_grams", postgresql.ARRAY(sa.Text()), sa.Computed("name_grams(name)", persisted=True), nullable=False
        ),
        sa.Column("pinyin", sa.Text(collation="C"), nullable=False),
        sa.Column("initials", sa.Text(collation="C"), nullable=False),
        sa.Column("region_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("main_admin_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), server_default="live", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name=op.f("orgs_closed_check")),
        sa.CheckConstraint("kind IN ('party', 'outside_party')", name=op.f("orgs_kind_check")),
        sa.CheckConstraint("region_code ~ '^[0-9]{6}([0-9]{3}([0-9]{3})?)?$'", name=op.f("orgs_region_code_check")),
        sa.CheckConstraint("status IN ('live', 'closed')", name=op.f("orgs_status_check")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("orgs_created_by_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("orgs_pkey")),
        sa.UniqueConstraint("id", "name", name=op.f("orgs_id_name_key")),
    )
    op.create_index(op.f("orgs_region_code_name_idx"), "orgs", ["region_code", "name"], unique=False)
    op.create_index(op.f("orgs_name_id_idx"), "orgs", ["name", "id"], unique=False)
    op.create_index("orgs_name_grams_idx", "orgs", ["name_grams"], unique=False, postgresql_using="gin")
    op.create_index(op.f("orgs_pinyin_idx"), "orgs", ["pinyin"], unique=False)
    op.create_index(op.f("orgs_initials_idx"), "orgs", ["initials"], unique=False)
    op.create_table(
        "invitations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("token_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("max_uses", sa.Integer(), nullable=False),
        sa.Column("uses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("uses BETWEEN 0 AND max_uses", name=op.f("invitations_uses_check")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("invitations_created_by_fkey")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("invitations_org_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("invitations_pkey")),
    )
    op.create_index(op.f("invitations_org_id_id_idx"), "invitations", ["org_id", "id"], unique=False)
    op.create_index("invitations_token_hash_key", "invitations", ["token_hash"], unique=True)
    op.create_table(
        "org_admins",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("org_admins_org_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("org_admins_user_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "user_id", name=op.f("org_admins_pkey")),
    )
    op.create_index(op.f("org_admins_user_id_idx"), "org_admins", ["user_id"], unique=False)
    op.create_table(
        "units",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('branch', 'general_branch', 'department')", name=op.f("units_kind_check")),
        sa.CheckConstraint("parent_id <> id", name=op.f("units_parent_check")),
        sa.ForeignKeyConstraint(["org_id", "parent_id"], ["units.org_id", "units.id"], name="units_parent_fkey"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("units_org_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("units_pkey")),
    )
    op.create_index(
        "units_org_id_parent_id_name_key",
        "units",
        ["org_id", "parent_id", "name"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_index("units_children_idx", "units", ["org_id", "parent_id", "position"])
    op.create_table(
        "certifications",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("superior_id", sa.Uuid(), nullable=False),
        sa.Column("subordinate_id", sa.Uuid(), nullable=False),
        sa.Column("subordinate_name", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("invitation_id", sa.Uuid(), nullable=True),
        sa.Column("applied_by", sa.Uuid(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("certified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'certified') = (subordinate_name IS NOT NULL)", name=op.f("certifications_live_name_check")
        ),
        sa.CheckConstraint(
            "(state = 'released') = (released_at IS NOT NULL)", name=op.f("certifications_released_at_check")
        ),
        sa.CheckConstraint(
            "(state IN ('certified', 'released')) = (certified_at IS NOT NULL)",
            name=op.f("certifications_certified_at_check"),
        ),
        sa.CheckConstraint(
            "state IN ('applied', 'certified', 'refused', 'withdrawn', 'released')",
            name=op.f("certifications_state_check"),
        ),
        sa.CheckConstraint("superior_id <> subordinate_id", name=op.f("certifications_self_check")),
        sa.ForeignKeyConstraint(["applied_by"], ["users.id"], name=op.f("certifications_applied_by_fkey")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("certifications_decided_by_fkey")),
        sa.ForeignKeyConstraint(["invitation_id"], ["invitations.id"], name=op.f("certifications_invitation_id_fkey")),
        sa.ForeignKeyConstraint(
            ["subordinate_id", "subordinate_name"],
            ["orgs.id", "orgs.name"],
            name="certifications_subordinate_name_fkey",
            onupdate="CASCADE",
        ),
        sa.ForeignKeyConstraint(["subordinate_id"], ["orgs.id"], name=op.f("certifications_subordinate_id_fkey")),
        sa.ForeignKeyConstraint(["superior_id"], ["orgs.id"], name=op.f("certifications_superior_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("certifications_pkey")),
    )
    op.create_index(
        "certifications_one_application_key",
        "certifications",
        ["subordinate_id"],
        unique=True,
        postgresql_where=sa.text("state = 'applied'"),
    )
    op.create_index(
        "certifications_one_superior_key",
        "certifications",
        ["subordinate_id"],
        unique=True,
        postgresql_where=sa.text("state = 'certified'"),
        postgresql_include=["superior_id"],
    )
    op.create_index("certifications_received_idx", "certifications", ["superior_id", "id"], unique=False)
    op.create_index(
        "certifications_waiting_idx",
        "certifications",
        ["superior_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'applied'"),
    )
    op.create_index("certifications_subordinate_id_id_idx", "certifications", ["subordinate_id", "id"], unique=False)
    op.create_index(
        "certifications_sibling_name_key",
        "certifications",
        ["superior_id", "subordinate_name"],
        unique=True,
        postgresql_where=sa.text("state = 'certified'"),
    )
    op.create_foreign_key(
        "orgs_main_admin_fkey",
        "orgs",
        "org_admins",
        ["id", "main_admin_id"],
        ["org_id", "user_id"],
        initially="DEFERRED",
        deferrable=True,
    )
    op.create_table(
        "admin_invitations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), server_default="invited", nullable=False),
        sa.Column("invited_by", sa.Uuid(), nullable=False),
        sa.Column("invited_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'invited') = (phone_cipher IS NOT NULL)", name=op.f("admin_invitations_phone_check")
        ),
        sa.CheckConstraint("(state = 'accepted') = (user_id IS NOT NULL)", name=op.f("admin_invitations_user_check")),
        sa.CheckConstraint(
            "state IN ('invited', 'accepted', 'refused', 'withdrawn', 'expired')",
            name=op.f("admin_invitations_state_check"),
        ),
        sa.ForeignKeyConstraint(["invited_by"], ["users.id"], name=op.f("admin_invitations_invited_by_fkey")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("admin_invitations_org_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("admin_invitations_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("admin_invitations_pkey")),
    )
    op.create_index(op.f("admin_invitations_org_id_id_idx"), "admin_invitations", ["org_id", "id"], unique=False)
    op.create_index(
        "admin_invitations_one_open_key",
        "admin_invitations",
        ["phone_index", "org_id"],
        unique=True,
        postgresql_where=sa.text("state = 'invited'"),
    )
    op.create_table(
        "change_requests",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("name_before", sa.Text(), nullable=True),
        sa.Column("name_after", sa.Text(), nullable=True),
        sa.Column("main_admin_before", sa.Uuid(), nullable=True),
        sa.Column("main_admin_after", sa.Uuid(), nullable=True),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('rename', 'hand-over', 'recovery')", name=op.f("change_requests_kind_check")),
        sa.CheckConstraint(
            "(kind = 'rename') = (name_before IS NOT NULL) AND (kind = 'rename') = (name_after IS NOT NULL) "
            "AND (kind = 'rename') = (main_admin_before IS NULL) AND (kind = 'rename') = (main_admin_after IS NULL)",
            name=op.f("change_requests_change_check"),
        ),
        sa.CheckConstraint("(state = 'asked') = (decided_at IS NULL)", name=op.f("change_requests_decided_check")),
        sa.CheckConstraint(
            "state IN ('asked', 'approved', 'refused', 'withdrawn', 'expired', 'stale')",
            name=op.f("change_requests_state_check"),
        ),
        sa.ForeignKeyConstraint(["asked_by"], ["users.id"], name=op.f("change_requests_asked_by_fkey")),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("change_requests_decided_by_fkey")),
        sa.ForeignKeyConstraint(["main_admin_after"], ["users.id"], name=op.f("change_requests_main_admin_after_fkey")),
        sa.ForeignKeyConstraint(
            ["main_admin_before"], ["users.id"], name=op.f("change_requests_main_admin_before_fkey")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("change_requests_org_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("change_requests_pkey")),
    )
    op.create_index(op.f("change_requests_org_id_id_idx"), "change_requests", ["org_id", "id"], unique=False)
    op.create_index(
        "change_requests_one_open_key",
        "change_requests",
        ["org_id", "kind"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_table(
        "promotions",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("region_code", sa.Text(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), server_default="offered", nullable=False),
        sa.Column("offered_by", sa.Uuid(), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_org_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("(state = 'accepted') = (new_org_id IS NOT NULL)", name=op.f("promotions_new_org_check")),
        sa.CheckConstraint("(state = 'offered') = (phone_cipher IS NOT NULL)", name=op.f("promotions_phone_check")),
        sa.CheckConstraint(
            "state IN ('offered', 'accepted', 'refused', 'withdrawn', 'expired')",
            name=op.f("promotions_state_check"),
        ),
        sa.ForeignKeyConstraint(["new_org_id"], ["orgs.id"], name=op.f("promotions_new_org_id_fkey")),
        sa.ForeignKeyConstraint(["offered_by"], ["users.id"], name=op.f("promotions_offered_by_fkey")),
        sa.ForeignKeyConstraint(["org_id", "unit_id"], ["units.org_id", "units.id"], name="promotions_unit_fkey"),
        sa.PrimaryKeyConstraint("id", name=op.f("promotions_pkey")),
    )
    op.create_index(op.f("promotions_org_id_id_idx"), "promotions", ["org_id", "id"], unique=False)
    op.create_index(
        "promotions_one_open_key",
        "promotions",
        ["org_id", "unit_id"],
        unique=True,
        postgresql_where=sa.text("state = 'offered'"),
    )
    op.create_index(
        "promotions_phone_index_idx",
        "promotions",
        ["phone_index"],
        unique=False,
        postgresql_where=sa.text("state = 'offered'"),
    )
    op.create_table(
        "transfers",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=False),
        sa.Column("to_id", sa.Uuid(), nullable=False),
        sa.Column("certification_id", sa.Uuid(), nullable=False),
        sa.Column("invitation_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="asked", nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("released_by", sa.Uuid(), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state IN ('asked', 'released')) = (decided_at IS NULL)", name=op.f("transfers_decided_check")
        ),
        sa.CheckConstraint(
            "state IN ('asked', 'released', 'done', 'refused', 'withdrawn', 'lapsed')",
            name=op.f("transfers_state_check"),
        ),
        sa.ForeignKeyConstraint(["asked_by"], ["users.id"], name=op.f("transfers_asked_by_fkey")),
        sa.ForeignKeyConstraint(
            ["certification_id"], ["certifications.id"], name=op.f("transfers_certification_id_fkey")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name=op.f("transfers_decided_by_fkey")),
        sa.ForeignKeyConstraint(["from_id"], ["orgs.id"], name=op.f("transfers_from_id_fkey")),
        sa.ForeignKeyConstraint(["invitation_id"], ["invitations.id"], name=op.f("transfers_invitation_id_fkey")),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("transfers_org_id_fkey")),
        sa.ForeignKeyConstraint(["released_by"], ["users.id"], name=op.f("transfers_released_by_fkey")),
        sa.ForeignKeyConstraint(["to_id"], ["orgs.id"], name=op.f("transfers_to_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("transfers_pkey")),
    )
    op.create_index(
        "transfers_one_open_key",
        "transfers",
        ["org_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('asked', 'released')"),
    )
    for side in ("org_id", "from_id", "to_id"):
        op.create_index(op.f(f"transfers_{side}_id_idx"), "transfers", [side, "id"], unique=False)
    for statement in (*APPEND_ONLY, *HIERARCHY, *UNITS, *ADMINS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER users_no_longer_verified ON users")
    op.drop_constraint("orgs_main_admin_fkey", "orgs")
    for table in (
        "transfers",
        "promotions",
        "change_requests",
        "admin_invitations",
        "certifications",
        "units",
        "org_admins",
        "invitations",
        "orgs",
        "outgoing_events",
        "idempotency_keys",
        "audit_entries",
    ):
        op.drop_table(table)
    for function in (
        "users_no_longer_verified",
        "org_admins_verified",
        "units_removal",
        "units_hold",
        "units_tree",
        "orgs_closing",
        "certifications_hierarchy",
        "refuse_change",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP FUNCTION name_grams")
