"""The scopes of people's sessions; from where a refresh token was used"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

# The scopes that a program can have at this revision.
DEVICE_SCOPES = (
    "account:read, account:write, audit:read, members:read, members:write, orgs:read, orgs:write, reports:read"
)


def upgrade() -> None:
    texts = postgresql.ARRAY(sa.Text())
    app_or_console = "NULL: all scopes of the app or the console"
    op.add_column("sessions", sa.Column("scopes", texts, nullable=True, comment=app_or_console))
    op.add_column(
        "device_authorizations", sa.Column("scopes", texts, nullable=True, comment="NULL: all scopes of the console")
    )
    op.add_column("refresh_tokens", sa.Column("used_from", postgresql.INET(), nullable=True))
    # Programs that were registered before there were scopes keep what they could do.
    op.execute(f"UPDATE oauth_clients SET scopes = '{{{DEVICE_SCOPES}}}' WHERE kind = 'device' AND scopes = '{{}}'")  # noqa: S608 — a constant


def downgrade() -> None:
    op.execute("UPDATE oauth_clients SET scopes = '{}' WHERE kind = 'device'")
    op.drop_column("refresh_tokens", "used_from")
    op.drop_column("device_authorizations", "scopes")
    op.drop_column("sessions", "scopes")
