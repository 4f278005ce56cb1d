"""Members, their places and activations, imports"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Two names are one where only blanks, dots and width differ.
NAME_KEY = """
CREATE FUNCTION name_key(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lower(translate(normalize(name, NFKC), ' ·•・‧∙⋅●.-''’', ''))
"""

# No person is placed in a unit that was removed. The foreign key waits for a removal that is under way; this trigger
# reads the unit after that wait, and raises the same error as the foreign key.
PLACES_LIVE_UNIT = (
    """
CREATE FUNCTION places_live_unit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM placed AS p JOIN units AS u ON u.org_id = p.org_id AND u.id = p.unit_id
        WHERE p.until IS NULL AND u.removed_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'the unit was removed'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'places_unit_fkey';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER places_live_unit AFTER INSERT ON places
    REFERENCING NEW TABLE AS placed FOR EACH STATEMENT EXECUTE FUNCTION places_live_unit()
""",
)


def upgrade() -> None:
    # So that one GIN index holds the org beside the grams.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.execute(NAME_KEY)
    op.create_table(
        "imports",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="uploaded", nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("unknown_units", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("refusal", postgresql.JSONB(), nullable=True, comment="the code and what it is about"),
        sa.Column("rows_total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rows_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("added", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("moved", sa.Integer(), server_default="0", nullable=False),
        sa.Column("leaving", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("new_units", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "people", sa.Integer(), server_default="0", nullable=False, comment="in the directory when it was checked"
        ),
        sa.Column("accepted_leaving", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'refused') = (refusal IS NOT NULL)", name="imports_refusal_check"),
        sa.CheckConstraint("mode IN ('add-and-update', 'replace-all')", name="imports_mode_check"),
        sa.CheckConstraint(
            "state IN ('uploaded', 'checking', 'ready', 'refused', "
            "'confirmed', 'merging', 'done', 'canceled', 'failed')",
            name="imports_state_check",
        ),
        sa.CheckConstraint("unknown_units IN ('refuse', 'create')", name="imports_unknown_units_check"),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="imports_created_by_fkey"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="imports_org_id_fkey"),
        sa.PrimaryKeyConstraint("org_id", "id", name="imports_pkey"),
    )
    op.create_table(
        "members",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "name_grams", postgresql.ARRAY(sa.Text()), sa.Computed("name_grams(name)", persisted=True), nullable=False
        ),
        sa.Column("pinyin", sa.Text(collation="C"), nullable=False),
        sa.Column("initials", sa.Text(collation="C"), nullable=False),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("phone_last4_index", sa.LargeBinary(), nullable=False),
        sa.Column("party", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("removed_at IS NULL OR user_id IS NULL", name="members_removed_inactive_check"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="members_org_id_fkey"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="members_user_id_fkey"),
        sa.PrimaryKeyConstraint("org_id", "id", name="members_pkey"),
    )
    op.create_index(
        "members_org_id_initials_idx", "members", ["org_id", "initials"], postgresql_where=sa.text("removed_at IS NULL")
    )
    op.create_index(
        "members_org_id_name_grams_idx",
        "members",
        ["org_id", "name_grams"],
        postgresql_using="gin",
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_index(
        "members_org_id_phone_index_key",
        "members",
        ["org_id", "phone_index"],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_index(
        "members_org_id_phone_last4_index_idx",
        "members",
        ["org_id", "phone_last4_index"],
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_index(
        "members_org_id_pinyin_idx", "members", ["org_id", "pinyin"], postgresql_where=sa.text("removed_at IS NULL")
    )
    op.create_index(
        "members_org_id_user_id_key",
        "members",
        ["org_id", "user_id"],
        unique=True,
        postgresql_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_index(
        "members_phone_index_idx", "members", ["phone_index"], postgresql_where=sa.text("removed_at IS NULL")
    )
    op.create_index("members_user_id_idx", "members", ["user_id"], postgresql_where=sa.text("user_id IS NOT NULL"))
    op.create_table(
        "activations",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "consented_by", sa.Uuid(), nullable=True, comment="the admin who linked it although phone or name differ"
        ),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("until >= since", name="activations_range_check"),
        sa.ForeignKeyConstraint(["consented_by"], ["users.id"], name="activations_consented_by_fkey"),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"], ["members.org_id", "members.id"], name="activations_member_fkey"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="activations_user_id_fkey"),
        sa.PrimaryKeyConstraint("org_id", "id", name="activations_pkey"),
    )
    op.create_index(
        "activations_org_id_member_id_key",
        "activations",
        ["org_id", "member_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index("activations_user_id_idx", "activations", ["user_id"])
    op.create_table(
        "import_files",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content_cipher", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "import_id"],
            ["imports.org_id", "imports.id"],
            name="import_files_import_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "import_id", "part", name="import_files_pkey"),
    )
    op.create_table(
        "import_rows",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "new_member_id", sa.Uuid(), nullable=False, comment="what phone_cipher is bound to; a new member's id"
        ),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("pinyin", sa.Text(collation="C"), nullable=True),
        sa.Column("initials", sa.Text(collation="C"), nullable=True),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("phone_index", sa.LargeBinary(), nullable=True),
        sa.Column("phone_last4_index", sa.LargeBinary(), nullable=True),
        sa.Column("unit_path", sa.Text(), nullable=True),
        sa.Column("party", sa.Boolean(), nullable=True),
        sa.Column(
            "cells_cipher",
            sa.LargeBinary(),
            nullable=True,
            comment="the cells as typed, where they could not be read into the columns above",
        ),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("problems", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("warnings", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("related_rows", postgresql.ARRAY(sa.Integer()), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "outcome IN ('added', 'changed', 'moved', 'unchanged', 'refused')", name="import_rows_outcome_check"
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "import_id"],
            ["imports.org_id", "imports.id"],
            name="import_rows_import_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "import_id", "row_no", name="import_rows_pkey"),
    )
    op.create_table(
        "places",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("until >= since", name="places_range_check"),
        sa.ForeignKeyConstraint(["org_id", "member_id"], ["members.org_id", "members.id"], name="places_member_fkey"),
        sa.ForeignKeyConstraint(["org_id", "unit_id"], ["units.org_id", "units.id"], name="places_unit_fkey"),
        sa.PrimaryKeyConstraint("org_id", "id", name="places_pkey"),
    )
    op.create_index(
        "places_org_id_member_id_unit_id_key",
        "places",
        ["org_id", "member_id", "unit_id"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(
        "places_org_id_unit_id_member_id_idx",
        "places",
        ["org_id", "unit_id", "member_id"],
        postgresql_where=sa.text("until IS NULL"),
    )
    for statement in PLACES_LIVE_UNIT:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("places")
    op.execute("DROP FUNCTION places_live_unit")
    op.drop_table("import_rows")
    op.drop_table("import_files")
    op.drop_table("activations")
    op.drop_table("members")
    op.drop_table("imports")
    op.execute("DROP FUNCTION name_key")
