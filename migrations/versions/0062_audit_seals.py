"""Seals over the audit entries, and the view for auditors"""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "last_id", sa.Uuid(), nullable=False, comment="the seal covers the entries after that of the one before"
        ),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column(
            "digests", sa.LargeBinary(), nullable=False, comment="24 bytes an entry: its id, the start of its digest"
        ),
        sa.Column(
            "hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the hash before, the number, the digests"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("audit_seals_pkey")),
    )
    op.execute("""
CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""")
    op.execute("""
CREATE VIEW audit_trail AS
SELECT id, at, org_id, user_id, client_id, address, request_id, action, subject_type, subject_id FROM audit_entries
""")
    op.execute(
        "COMMENT ON VIEW audit_trail IS 'the audit without what was written: for auditors, who may not see people'"
    )


def downgrade() -> None:
    op.execute("DROP VIEW audit_trail")
    op.drop_table("audit_seals")
