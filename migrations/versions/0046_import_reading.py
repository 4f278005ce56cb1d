"""How a sheet is read: chosen columns, what was read and skipped, members named by their numbers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

IMPORT_COLUMNS = (
    sa.Column(
        "reading_options",
        postgresql.JSONB(astext_type=sa.Text()),
        server_default="{}",
        nullable=False,
        comment="what an admin chose: columns, sheets, whether units are filled down",
    ),
    sa.Column(
        "reading",
        postgresql.JSONB(astext_type=sa.Text()),
        nullable=True,
        comment="what was read: sheets, columns, and the skipped rows by cause",
    ),
)
ROW_COLUMNS = (
    sa.Column(
        "masked_phone",
        sa.Text(),
        nullable=True,
        comment="where the sheet has a masked phone: phone_last4_index is of its last digits",
    ),
    sa.Column("known_id", sa.Uuid(), nullable=True, comment="the member whose number (编号) is in the sheet"),
)


def upgrade() -> None:
    for column in IMPORT_COLUMNS:
        op.add_column("imports", column.copy())
    for column in ROW_COLUMNS:
        op.add_column("import_rows", column.copy())
    op.create_table(
        "import_headings",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("heading", sa.Text(), nullable=False, comment="normalized"),
        sa.Column("field", sa.Text(), nullable=True, comment="NULL: the column is not read"),
        sa.Column("chosen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "field IN ('name', 'phone', 'unit', 'party', 'party-kind', 'post', 'number')",
            name=op.f("import_headings_field_check"),
        ),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name=op.f("import_headings_org_id_fkey")),
        sa.PrimaryKeyConstraint("org_id", "heading", name=op.f("import_headings_pkey")),
    )


def downgrade() -> None:
    op.drop_table("import_headings")
    for column in ROW_COLUMNS:
        op.drop_column("import_rows", column.name)
    for column in IMPORT_COLUMNS:
        op.drop_column("imports", column.name)
