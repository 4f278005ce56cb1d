"""Loads of the orgs of an old system, and orgs that have no main admin until the named person accepts"""

import sqlalchemy as sa
from alembic import op

from app.database.indexes import create_index

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

MAIN_ADMIN = "main_admin_id IS NOT NULL OR load_id IS NOT NULL"
STATES = (
    "state IN ('uploaded', 'checking', 'ready', 'refused', 'confirmed', 'loading', 'done', 'reversing', 'reversed', "
    "'canceled', 'failed')"
)


def upgrade() -> None:
    op.create_table(
        "org_loads",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("state", sa.Text(), server_default="uploaded", nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column(
            "refusal",
            sa.dialects.postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="the code and what it is about",
        ),
        sa.Column("preview", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rows_total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rows_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("to_create", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created", sa.Integer(), server_default="0", nullable=False),
        sa.Column("present", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reversed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rows_forgotten_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(STATES, name=op.f("org_loads_state_check")),
        sa.CheckConstraint("(state = 'refused') = (refusal IS NOT NULL)", name=op.f("org_loads_refusal_check")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("org_loads_created_by_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("org_loads_pkey")),
    )
    op.create_table(
        "org_load_files",
        sa.Column("load_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content_cipher", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["load_id"], ["org_loads.id"], name=op.f("org_load_files_load_id_fkey")),
        sa.PrimaryKeyConstraint("load_id", "part", name=op.f("org_load_files_pkey")),
    )
    op.create_table(
        "org_load_rows",
        sa.Column("load_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("new_id", sa.Uuid(), nullable=False, comment="the id of the org, if the load creates it"),
        sa.Column("offer_id", sa.Uuid(), nullable=False, comment="what phone_cipher is bound to"),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("pinyin", sa.Text(collation="C"), nullable=True),
        sa.Column("initials", sa.Text(collation="C"), nullable=True),
        sa.Column("sort_key", sa.Text(collation="C"), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("region_code", sa.Text(), nullable=True),
        sa.Column("superior", sa.Text(), nullable=False, comment="as typed: a number, a name, a path or an id"),
        sa.Column("admin_name", sa.Text(), nullable=True),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=True),
        sa.Column(
            "cells_cipher",
            sa.LargeBinary(),
            nullable=True,
            comment="the cells as typed, until the org is created",
        ),
        sa.Column("level", sa.Integer(), nullable=True, comment="0: its superior is no row of the sheet"),
        sa.Column("superior_row", sa.Integer(), nullable=True),
        sa.Column("superior_id", sa.Uuid(), nullable=True, comment="the superior, if it exists already"),
        sa.Column("present_id", sa.Uuid(), nullable=True, comment="the org, if it exists already"),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("problems", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("warnings", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("related_rows", sa.ARRAY(sa.Integer()), server_default="{}", nullable=False),
        sa.CheckConstraint(
            "outcome IN ('create', 'created', 'present', 'refused', 'reversed')",
            name=op.f("org_load_rows_outcome_check"),
        ),
        sa.ForeignKeyConstraint(["load_id"], ["org_loads.id"], name=op.f("org_load_rows_load_id_fkey")),
        sa.PrimaryKeyConstraint("load_id", "row_no", name=op.f("org_load_rows_pkey")),
    )
    op.create_index(op.f("org_load_rows_load_id_outcome_row_no_idx"), "org_load_rows", ["load_id", "outcome", "row_no"])
    op.create_index(
        "org_load_rows_waiting_idx",
        "org_load_rows",
        ["load_id", "level", "row_no"],
        postgresql_where=sa.text("outcome = 'create'"),
    )
    op.add_column("orgs", sa.Column("load_id", sa.Uuid(), nullable=True, comment="the load that created the org"))
    op.add_column(
        "admin_invitations",
        sa.Column(
            "first_main_admin",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="the org has had no main admin; who accepts becomes it",
        ),
    )
    op.execute(
        "ALTER TABLE orgs ADD CONSTRAINT orgs_load_id_fkey FOREIGN KEY (load_id) REFERENCES org_loads (id) NOT VALID"
    )
    op.execute(f"ALTER TABLE orgs ADD CONSTRAINT orgs_main_admin_check CHECK ({MAIN_ADMIN}) NOT VALID")
    op.execute("-- squawk-ignore ban-drop-not-null\nALTER TABLE orgs ALTER COLUMN main_admin_id DROP NOT NULL")
    op.execute("""
CREATE FUNCTION orgs_main_admin_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an organisation that has a main admin keeps one'
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'orgs_main_admin_stays';
END $$
""")
    op.execute("""
CREATE TRIGGER orgs_main_admin_stays BEFORE UPDATE OF main_admin_id ON orgs
    FOR EACH ROW WHEN (NEW.main_admin_id IS NULL AND OLD.main_admin_id IS NOT NULL)
    EXECUTE FUNCTION orgs_main_admin_stays()
""")
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE orgs VALIDATE CONSTRAINT orgs_load_id_fkey")
        op.execute("ALTER TABLE orgs VALIDATE CONSTRAINT orgs_main_admin_check")
    create_index("orgs_of_load_idx", "orgs", ["load_id", "id"], where="load_id IS NOT NULL AND status = 'live'")


def downgrade() -> None:
    """Fails while there is an org without a main admin."""
    op.execute("DROP TRIGGER orgs_main_admin_stays ON orgs")
    op.execute("DROP FUNCTION orgs_main_admin_stays()")
    op.execute("ALTER TABLE orgs ALTER COLUMN main_admin_id SET NOT NULL")
    op.drop_column("orgs", "load_id")
    op.drop_column("admin_invitations", "first_main_admin")
    op.drop_table("org_load_rows")
    op.drop_table("org_load_files")
    op.drop_table("org_loads")
