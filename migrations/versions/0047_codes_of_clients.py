"""The code of a QR code, another than the user code; the console as a kind of client of its own"""

import sqlalchemy as sa
from alembic import op

from app.database.indexes import create_index

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

TABLE = "device_authorizations"
NAME = "oauth_clients_kind_check"
OLD_NAME = "oauth_clients_oauth_clients_kind_check_check"  # the convention of names was applied twice


def upgrade() -> None:
    op.execute("DELETE FROM device_authorizations")  # they live for three minutes
    add = f"ALTER TABLE {TABLE} ADD COLUMN scan_code text NOT NULL"
    op.execute(f"-- squawk-ignore adding-required-field\n{add}")
    op.alter_column(TABLE, "scan_code", comment="in the QR code")
    op.alter_column(TABLE, "user_code", comment="on the screen, to be typed")
    op.add_column(
        TABLE,
        sa.Column(
            "typed",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="the person typed the user code and did not scan",
        ),
    )
    op.execute(f"-- squawk-ignore ban-drop-not-null\nALTER TABLE {TABLE} ALTER COLUMN number DROP NOT NULL")
    op.alter_column(TABLE, "number", comment="shown by the console after the scan")
    _replace_check(OLD_NAME, NAME, "'app', 'console', 'device', 'service'")
    op.execute("UPDATE oauth_clients SET kind = 'console' WHERE id = 'xuezu-console'")
    create_index("device_authorizations_scan_code_key", TABLE, ["scan_code"], unique=True)


def downgrade() -> None:
    op.execute("DELETE FROM device_authorizations")
    op.execute("UPDATE oauth_clients SET kind = 'device' WHERE id = 'xuezu-console'")
    _replace_check(NAME, OLD_NAME, "'app', 'device', 'service'")
    op.alter_column(TABLE, "number", nullable=False, comment=None)
    op.drop_column(TABLE, "typed")
    op.alter_column(TABLE, "user_code", comment=None)
    op.drop_index("device_authorizations_scan_code_key", TABLE)
    op.drop_column(TABLE, "scan_code")


def _replace_check(old: str, new: str, kinds: str) -> None:
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE oauth_clients DROP CONSTRAINT {old}")
    op.execute(f"ALTER TABLE oauth_clients ADD CONSTRAINT {new} CHECK (kind IN ({kinds})) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE oauth_clients VALIDATE CONSTRAINT {new}")
