"""Orgs, units, admins, certification, audit, stored answers"""

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


# Nobody rewrites history: not the service, not a migration, not a hand at the console.
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

# Each statement of a volatile function sees what committed before it began: the lock first, the look after it.
# The key is app.orgs.tree.HIERARCHY_LOCK.
HIERARCHY = (
    """
CREATE FUNCTION certifications_hierarchy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(517365660277);
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
CREATE TRIGGER certifications_hierarchy
    BEFORE INSERT OR UPDATE OF state, superior_id, subordinate_id ON certifications
    FOR EACH ROW WHEN (NEW.state = 'certified') EXECUTE FUNCTION certifications_hierarchy()
""",
)


def upgrade() -> None:
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
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
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
    )
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
    for statement in (*APPEND_ONLY, *HIERARCHY):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER certifications_hierarchy ON certifications")
    op.execute("DROP FUNCTION certifications_hierarchy")
    op.drop_constraint("orgs_main_admin_fkey", "orgs")
    op.drop_index(
        "certifications_sibling_name_key", table_name="certifications", postgresql_where=sa.text("state = 'certified'")
    )
    op.drop_index("certifications_received_idx", table_name="certifications")
    op.drop_index(
        "certifications_one_superior_key",
        table_name="certifications",
        postgresql_where=sa.text("state = 'certified'"),
        postgresql_include=["superior_id"],
    )
    op.drop_index(
        "certifications_one_application_key", table_name="certifications", postgresql_where=sa.text("state = 'applied'")
    )
    op.drop_table("certifications")
    op.drop_index("units_org_id_parent_id_name_key", table_name="units", postgresql_nulls_not_distinct=True)
    op.drop_table("units")
    op.drop_index(op.f("org_admins_user_id_idx"), table_name="org_admins")
    op.drop_table("org_admins")
    op.drop_index("invitations_token_hash_key", table_name="invitations")
    op.drop_index(op.f("invitations_org_id_id_idx"), table_name="invitations")
    op.drop_table("invitations")
    op.drop_index(op.f("orgs_region_code_name_idx"), table_name="orgs")
    op.drop_table("orgs")
    op.drop_index(op.f("outgoing_events_transaction_id_idx"), table_name="outgoing_events")
    op.drop_table("outgoing_events")
    op.drop_table("idempotency_keys")
    op.drop_index(op.f("audit_entries_org_id_id_idx"), table_name="audit_entries")
    op.drop_table("audit_entries")
    op.execute("DROP FUNCTION refuse_change")
