"""Accounts, their ways to sign in, and the rows of each sign-in"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DAY = 86400

# The project's own programs. A console is signed in for a working day; the app stays signed in while it is used.
CLIENTS = [
    {"id": "xuezu-app", "name": "学组", "kind": "app", "refresh_seconds": 90 * DAY, "session_seconds": 730 * DAY},
    {
        "id": "xuezu-console",
        "name": "学组管理后台",
        "kind": "device",
        "refresh_seconds": 4 * 3600,
        "session_seconds": 12 * 3600,
    },
]


def upgrade() -> None:
    op.create_table(
        "oauth_clients",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("refresh_seconds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("session_seconds", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('app', 'device', 'service')", name="oauth_clients_kind_check"),
        sa.PrimaryKeyConstraint("id", name="oauth_clients_pkey"),
    )
    op.create_table(
        "phone_codes",
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("phone_index", "purpose", name="phone_codes_pkey"),
    )
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="rate_limits_pkey"),
    )
    op.create_index("rate_limits_full_at_idx", "rate_limits", ["full_at"])
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("private_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("active_from", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kid", name="signing_keys_pkey"),
    )
    op.create_table(
        "simulated_messages",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("phone_index", sa.LargeBinary(), nullable=False),
        sa.Column("text_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("arrives_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="simulated_messages_pkey"),
    )
    op.create_index("simulated_messages_phone_index_id_idx", "simulated_messages", ["phone_index", "id"])
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("phone_index", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("verified_name", sa.Text(), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verification_method", sa.Text(), nullable=True),
        sa.Column("id_number_index", sa.LargeBinary(), nullable=True),
        sa.Column("party_member", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'closed') = (phone_index IS NULL)", name="users_phone_check"),
        sa.CheckConstraint("status IN ('active', 'disabled', 'closed')", name="users_status_check"),
        sa.PrimaryKeyConstraint("id", name="users_pkey"),
    )
    op.create_index("users_id_number_index_key", "users", ["id_number_index"], unique=True)
    op.create_index("users_phone_index_key", "users", ["phone_index"], unique=True)
    op.create_table(
        "client_secrets",
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["oauth_clients.id"], name="client_secrets_client_id_fkey"),
        sa.PrimaryKeyConstraint("secret_hash", name="client_secrets_pkey"),
    )
    op.create_index("client_secrets_client_id_idx", "client_secrets", ["client_id"])
    op.create_table(
        "operators",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enrolment_hash", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="operators_user_id_fkey"),
        sa.PrimaryKeyConstraint("user_id", name="operators_pkey"),
    )
    op.create_table(
        "security_keys",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="security_keys_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="security_keys_pkey"),
    )
    op.create_index("security_keys_credential_id_key", "security_keys", ["credential_id"], unique=True)
    op.create_index("security_keys_user_id_idx", "security_keys", ["user_id"])
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("methods", postgresql.ARRAY(sa.Text()), nullable=False, comment="amr, RFC 8176"),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("address", postgresql.INET(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="sessions_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="sessions_pkey"),
    )
    op.create_index("sessions_user_id_idx", "sessions", ["user_id"])
    op.create_table(
        "verifications",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True, comment="the provider's name for it"),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("id_number_index", sa.LargeBinary(), nullable=True),
        sa.Column("id_number_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reviewer_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("method IN ('alipay', 'id-card')", name="verifications_method_check"),
        sa.CheckConstraint(
            "state IN ('started', 'submitted', 'under_review', 'approved', 'rejected')",
            name="verifications_state_check",
        ),
        sa.ForeignKeyConstraint(["reviewer_id"], ["users.id"], name="verifications_reviewer_id_fkey"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="verifications_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="verifications_pkey"),
    )
    op.create_index(
        "verifications_open_key",
        "verifications",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('submitted', 'under_review')"),
    )
    op.create_index("verifications_reference_key", "verifications", ["reference"], unique=True)
    op.create_index("verifications_state_id_idx", "verifications", ["state", "id"])
    op.create_index("verifications_user_id_id_idx", "verifications", ["user_id", "id"])
    op.create_table(
        "device_authorizations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("device_code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("ticket_hash", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("address", postgresql.INET(), nullable=True),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("wrong_numbers", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("interval_seconds", sa.SmallInteger(), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("scanned_session_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'pending') = (scanned_session_id IS NULL)", name="device_authorizations_scanned_check"
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'scanned', 'approved', 'refused', 'redeemed')",
            name="device_authorizations_state_check",
        ),
        sa.ForeignKeyConstraint(["client_id"], ["oauth_clients.id"], name="device_authorizations_client_id_fkey"),
        sa.ForeignKeyConstraint(
            ["scanned_session_id"], ["sessions.id"], name="device_authorizations_scanned_session_id_fkey"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="device_authorizations_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="device_authorizations_pkey"),
    )
    op.create_index(
        "device_authorizations_device_code_hash_key", "device_authorizations", ["device_code_hash"], unique=True
    )
    op.create_index("device_authorizations_expires_at_idx", "device_authorizations", ["expires_at"])
    op.create_index("device_authorizations_user_code_key", "device_authorizations", ["user_code"], unique=True)
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="refresh_tokens_session_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="refresh_tokens_pkey"),
    )
    op.create_index("refresh_tokens_session_id_idx", "refresh_tokens", ["session_id"])
    op.create_table(
        "security_key_challenges",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("challenge", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("purpose IN ('registration', 'check')", name="security_key_challenges_purpose_check"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="security_key_challenges_session_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="security_key_challenges_pkey"),
    )
    clients = sa.table(
        "oauth_clients",
        *(sa.column(name, sa.Text()) for name in ("id", "name", "kind")),
        *(sa.column(name, sa.Integer()) for name in ("refresh_seconds", "session_seconds")),
    )
    op.bulk_insert(clients, CLIENTS)


def downgrade() -> None:
    for table in (
        "security_key_challenges",
        "refresh_tokens",
        "device_authorizations",
        "verifications",
        "sessions",
        "security_keys",
        "operators",
        "client_secrets",
        "users",
        "simulated_messages",
        "signing_keys",
        "rate_limits",
        "phone_codes",
        "oauth_clients",
    ):
        op.drop_table(table)
