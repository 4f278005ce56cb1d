"""All activations of a member row are found by it, the ended ones too."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "activations_org_id_member_id_idx",
            "activations",
            ["org_id", "member_id"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index("activations_org_id_member_id_idx", "activations")
