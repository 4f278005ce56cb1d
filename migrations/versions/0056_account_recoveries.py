"""Recoveries of accounts by the real name"""

import sqlalchemy as sa
from alembic import op

from app.database.indexes import create_index

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

STATES = "'proving', 'waiting', 'done', 'refused', 'stopped', 'expired'"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "account_recoveries",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="proving", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was refused or stopped"),
        sa.Column("requester_id", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True, comment="NULL: not known until the name is proved"),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=True, comment="the new phone, until the recovery ends"),
        sa.Column(
            "secret_hash",
            sa.LargeBinary(),
            nullable=True,
            comment="of the link in the SMS that stops it, or of the handle of a sign-in",
        ),
        sa.Column("created_at", time, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", time, nullable=False, comment="until then the name must have been proved"),
        sa.Column("effective_at", time, nullable=True, comment="from then on the worker gives the account the phone"),
        sa.Column("ended_at", time, nullable=True),
        sa.CheckConstraint(
            "kind IN ('phone-change', 'lost-phone', 'sign-in')", name=op.f("account_recoveries_kind_check")
        ),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("account_recoveries_state_check")),
        sa.CheckConstraint(
            "(kind = 'sign-in') = (requester_id IS NULL)", name=op.f("account_recoveries_requester_check")
        ),
        sa.CheckConstraint(
            "state <> 'waiting' OR (account_id IS NOT NULL AND effective_at IS NOT NULL)",
            name=op.f("account_recoveries_waiting_check"),
        ),
        sa.CheckConstraint(
            "(state IN ('proving', 'waiting')) = (ended_at IS NULL)", name=op.f("account_recoveries_ended_check")
        ),
        sa.ForeignKeyConstraint(["requester_id"], ["users.id"], name=op.f("account_recoveries_requester_id_fkey")),
        sa.ForeignKeyConstraint(["account_id"], ["users.id"], name=op.f("account_recoveries_account_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("account_recoveries_pkey")),
    )
    for name, column, unique, where in (
        ("one_of_requester_key", "requester_id", True, "state IN ('proving', 'waiting')"),
        ("one_of_account_key", "account_id", True, "state = 'waiting' AND kind <> 'sign-in'"),
        ("secret_hash_key", "secret_hash", True, None),
        ("effective_at_idx", "effective_at", False, "state = 'waiting'"),
        ("expires_at_idx", "expires_at", False, "state = 'proving'"),
        ("account_id_idx", "account_id", False, None),
        ("requester_id_idx", "requester_id", False, None),
    ):
        op.create_index(
            f"account_recoveries_{name}",
            "account_recoveries",
            [column],
            unique=unique,
            postgresql_where=where and sa.text(where),
        )
    comment = "the recovery that it proves; NULL: it verifies the user"
    op.add_column("verifications", sa.Column("recovery_id", sa.Uuid(), nullable=True, comment=comment))
    name = op.f("verifications_recovery_id_fkey")
    op.create_foreign_key(
        name, "verifications", "account_recoveries", ["recovery_id"], ["id"], postgresql_not_valid=True
    )
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE verifications VALIDATE CONSTRAINT {name}")
    create_index("verifications_recovery_id_idx", "verifications", ["recovery_id"])


def downgrade() -> None:
    op.drop_column("verifications", "recovery_id")
    op.drop_table("account_recoveries")
