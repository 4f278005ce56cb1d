"""Post and probationary party membership of a member, and the place of a member in a unit."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_POSITION = "the place of the person in the unit, from 1; those without one follow by name"


def upgrade() -> None:
    probationary = sa.Column(
        "probationary",
        sa.Boolean(),
        server_default=sa.text("false"),
        nullable=False,
        comment="probationary party member",
    )
    op.add_column("members", probationary)
    op.add_column("members", sa.Column("post", sa.Text(), nullable=True, comment="post in the org"))
    op.add_column("unit_memberships", sa.Column("position", sa.Integer(), nullable=True, comment=_POSITION))
    op.add_column("import_rows", sa.Column("probationary", sa.Boolean(), nullable=True))
    op.add_column("import_rows", sa.Column("post", sa.Text(), nullable=True))
    op.execute("ALTER TABLE members ADD CONSTRAINT ck_members_probationary CHECK (party OR NOT probationary) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE members VALIDATE CONSTRAINT ck_members_probationary")


def downgrade() -> None:
    op.drop_column("import_rows", "post")
    op.drop_column("import_rows", "probationary")
    op.drop_column("unit_memberships", "position")
    op.drop_column("members", "post")
    op.drop_column("members", "probationary")
