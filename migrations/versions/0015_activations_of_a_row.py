"""All activations of a member row are found by it, the ended ones too."""

from alembic import op

from app.database.indexes import create_index

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_index("activations_org_id_member_id_idx", "activations", ["org_id", "member_id"])


def downgrade() -> None:
    op.drop_index("activations_org_id_member_id_idx", "activations")
