"""What an import changes, shown before and after; decisions of the admin; the replacement of one unit; undoing"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

MODES = "mode IN ('add-and-update', 'replace-all', 'replace-unit')"
OLD_MODES = "mode IN ('add-and-update', 'replace-all')"
OUTCOMES = "outcome IN ('added', 'changed', 'moved', 'unchanged', 'undecided', 'refused')"
OLD_OUTCOMES = "outcome IN ('added', 'changed', 'moved', 'unchanged', 'refused')"
CHECKS = {
    ("imports", "mode"): MODES,
    ("imports", "unit"): "(mode = 'replace-unit') = (unit_id IS NOT NULL)",
    ("imports", "units"): "units IN ('keep', 'replace')",
    ("import_rows", "outcome"): OUTCOMES,
    ("import_rows", "decision"): "decision IN ('accepted', 'separate')",
}
# Their old names have the table's name twice.
OLD_CHECKS = {("imports", "mode"): OLD_MODES, ("import_rows", "outcome"): OLD_OUTCOMES}
IMPORT_COLUMNS = (
    sa.Column("unit_id", sa.Uuid(), nullable=True, comment="the unit that replace-unit replaces"),
    sa.Column(
        "units",
        sa.Text(),
        server_default="keep",
        nullable=False,
        comment="what becomes of the other units of a person in several units",
    ),
    sa.Column("undecided", sa.Integer(), server_default="0", nullable=False),
    sa.Column(
        "unidentified",
        sa.Integer(),
        server_default="0",
        nullable=False,
        comment="refused rows that do not say whom they are about",
    ),
    sa.Column(
        "preview", sa.Integer(), server_default="0", nullable=False, comment="number of the preview that is shown"
    ),
    sa.Column("directory_digest", sa.Text(), nullable=True, comment="of the directory that the preview was made of"),
    sa.Column("created_units", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
    sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
)
ROW_COLUMNS = (sa.Column("decision", sa.Text(), nullable=True, comment="of the admin, about an undecided row"),)


def _set_checks(checks: dict[tuple[str, str], str]) -> None:
    for (table, name), condition in checks.items():
        if (table, name) in OLD_CHECKS:
            drop = f"ALTER TABLE {table} DROP CONSTRAINT {table}_{table}_{name}_check_check"
            op.execute(f"-- squawk-ignore ban-drop-constraint\n{drop}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_{name}_check CHECK ({condition}) NOT VALID")


def upgrade() -> None:
    for column in IMPORT_COLUMNS:
        op.add_column("imports", column.copy())
    for column in ROW_COLUMNS:
        op.add_column("import_rows", column.copy())
    _set_checks(CHECKS)
    op.create_table(
        "import_changes",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=True, comment="the first row about the person"),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "phone_cipher",
            sa.LargeBinary(),
            nullable=True,
            comment="the phone before, where it changes; bound to the member",
        ),
        sa.Column(
            "new_phone", sa.Boolean(), server_default="false", nullable=False, comment="whether the phone changes"
        ),
        sa.Column("version", sa.Integer(), nullable=True, comment="of the member's row after the merge"),
        sa.CheckConstraint(
            "outcome IN ('changed', 'moved', 'undecided', 'left')", name=op.f("import_changes_outcome_check")
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "import_id"],
            ["imports.org_id", "imports.id"],
            name="import_changes_import_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "import_id", "member_id", name=op.f("import_changes_pkey")),
    )
    op.create_index(
        op.f("import_changes_org_id_import_id_outcome_member_id_idx"),
        "import_changes",
        ["org_id", "import_id", "outcome", "member_id"],
    )
    op.create_table(
        "import_units",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="name_key of the path"),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("first_row", sa.Integer(), nullable=False),
        sa.Column("choice", sa.Text(), nullable=True),
        sa.Column("unit_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("choice IN ('create', 'use', 'skip')", name=op.f("import_units_choice_check")),
        sa.CheckConstraint("(choice = 'use') = (unit_id IS NOT NULL)", name=op.f("import_units_unit_check")),
        sa.ForeignKeyConstraint(
            ["org_id", "import_id"],
            ["imports.org_id", "imports.id"],
            name="import_units_import_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "import_id", "key", name=op.f("import_units_pkey")),
    )
    with op.get_context().autocommit_block():
        for table, name in CHECKS:
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_{name}_check")


def downgrade() -> None:
    """Fails while there are imports of the new kinds."""
    op.drop_table("import_units")
    op.drop_table("import_changes")
    for table, name in CHECKS:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_{name}_check")
    for (table, name), condition in OLD_CHECKS.items():
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_{table}_{name}_check_check CHECK ({condition})")
    for column in ROW_COLUMNS:
        op.drop_column("import_rows", column.name)
    for column in IMPORT_COLUMNS:
        op.drop_column("imports", column.name)
