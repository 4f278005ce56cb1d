"""Pictures of ID cards that wait for a review"""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None
oldest_code = "0062"


def upgrade() -> None:
    op.create_table(
        "verification_pictures",
        sa.Column("verification_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("content_cipher", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("side IN ('front', 'back')", name=op.f("verification_pictures_side_check")),
        sa.ForeignKeyConstraint(
            ["verification_id"],
            ["verifications.id"],
            name=op.f("verification_pictures_verification_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("verification_id", "side", name=op.f("verification_pictures_pkey")),
    )


def downgrade() -> None:
    op.drop_table("verification_pictures")
