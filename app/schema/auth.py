"""Accounts, credentials and sessions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column

from app.database.db import Table


def _build_id_column() -> MappedColumn[UUID]:
    return mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))


def _build_now_column() -> MappedColumn[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def _build_time_column() -> MappedColumn[datetime]:
    return mapped_column(DateTime(timezone=True))


def _build_nullable_time_column() -> MappedColumn[datetime | None]:
    return mapped_column(DateTime(timezone=True))


class User(Table):
    """A registered user: an account with a phone and points, independent of member rows (S18, S20)."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'disabled', 'closed')", name="status"),
        CheckConstraint("(status = 'closed') = (phone_index IS NULL)", name="phone"),
        Index("users_phone_index_key", "phone_index", unique=True),
        Index("users_id_number_index_key", "id_number_index", unique=True),
    )

    id: Mapped[UUID] = _build_id_column()
    phone_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_since: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp(), comment="NULL: since the account was created"
    )
    status: Mapped[str] = mapped_column(Text, server_default="active")
    verified_name: Mapped[str | None] = mapped_column(Text)
    verified_at: Mapped[datetime | None] = _build_nullable_time_column()
    verification_method: Mapped[str | None] = mapped_column(Text)
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    party_member: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = _build_now_column()


class UserPhone(Table):
    """A phone that a user had in a range of time that is over. A trigger on `users` writes it (migration 0033)."""

    __tablename__ = "user_phones"
    __table_args__ = (CheckConstraint("until >= since", name="range"), Index(None, "phone_index"))

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    since: Mapped[datetime] = _build_time_column()
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)


class Session(Table):
    """One sign-in of one user on one device. Ending a session ends its tokens at their next use."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[UUID] = _build_id_column()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    client_id: Mapped[str] = mapped_column(Text)
    methods: Mapped[list[str]] = mapped_column(ARRAY(Text), comment="authentication methods (amr, RFC 8176)")
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text), comment="NULL: all scopes of the app or the console")
    device: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(INET)
    created_at: Mapped[datetime] = _build_now_column()
    refreshed_at: Mapped[datetime] = _build_now_column()
    expires_at: Mapped[datetime] = _build_time_column()
    key_checked_at: Mapped[datetime | None] = _build_nullable_time_column()
    checked_key_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the security key that was proved; no reference")
    ended_at: Mapped[datetime | None] = _build_nullable_time_column()


class RefreshToken(Table):
    """One token in a session's chain of refresh tokens. The reuse of a used token ends the session."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = _build_now_column()
    expires_at: Mapped[datetime] = _build_time_column()
    used_at: Mapped[datetime | None] = _build_nullable_time_column()
    used_from: Mapped[str | None] = mapped_column(INET)


class SigningKey(Table):
    """A key of the access tokens. The newest key whose start has come signs; every stored key verifies."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    private_cipher: Mapped[bytes] = mapped_column(LargeBinary)
    active_from: Mapped[datetime] = _build_time_column()


class OAuthClient(Table):
    """A program that signs people in or requests tokens. Only `service` clients have secrets. The `console` is this
    service's own pages."""

    __tablename__ = "oauth_clients"
    __table_args__ = (CheckConstraint("kind IN ('app', 'console', 'device', 'service')", name="kind"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    refresh_seconds: Mapped[int] = mapped_column(Integer, server_default="0")
    session_seconds: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime] = _build_now_column()
    revoked_at: Mapped[datetime | None] = _build_nullable_time_column()


class ClientSecret(Table):
    """A secret of a service client. Two secrets overlap while a new one is rolled out."""

    __tablename__ = "client_secrets"
    __table_args__ = (Index(None, "client_id"),)

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.id"))
    created_at: Mapped[datetime] = _build_now_column()
    expires_at: Mapped[datetime | None] = _build_nullable_time_column()


class PhoneCode(Table):
    """The one valid code of a phone for a purpose. A new code replaces it."""

    __tablename__ = "phone_codes"

    phone_index: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text, primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    created_at: Mapped[datetime] = _build_now_column()
    expires_at: Mapped[datetime] = _build_time_column()
    used_at: Mapped[datetime | None] = _build_nullable_time_column()


class RateLimit(Table):
    """A token bucket, stored as the time at which it is full again."""

    __tablename__ = "rate_limits"
    __table_args__ = (Index(None, "full_at"),)

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    full_at: Mapped[datetime] = _build_time_column()


class SimulatedMessage(Table):
    """A message of the simulated SMS gateway. It can be read in development only."""

    __tablename__ = "simulated_messages"
    __table_args__ = (Index(None, "phone_index", "id"),)

    id: Mapped[UUID] = _build_id_column()
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)
    text_cipher: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = _build_now_column()
    arrives_at: Mapped[datetime] = _build_time_column()


class DeviceAuthorization(Table):
    """A client that waits for a scan (RFC 8628): its public codes, the hash of its secret, and the scan."""

    __tablename__ = "device_authorizations"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'scanned', 'approved', 'refused', 'redeemed')", name="state"),
        CheckConstraint("(state = 'pending') = (scanned_session_id IS NULL)", name="scanned"),
        Index("device_authorizations_device_code_hash_key", "device_code_hash", unique=True),
        Index("device_authorizations_user_code_key", "user_code", unique=True),
        Index("device_authorizations_scan_code_key", "scan_code", unique=True),
        Index(None, "expires_at"),
    )

    id: Mapped[UUID] = _build_id_column()
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.id"))
    device_code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    user_code: Mapped[str] = mapped_column(Text, comment="on the screen, to be typed")
    scan_code: Mapped[str] = mapped_column(Text, comment="in the QR code")
    ticket_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text), comment="NULL: all scopes of the console")
    device: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(INET)
    typed: Mapped[bool] = mapped_column(
        Boolean, server_default=text("false"), comment="the person typed the user code and did not scan"
    )
    number: Mapped[int | None] = mapped_column(SmallInteger, comment="shown by the console after the scan")
    wrong_numbers: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    interval_seconds: Mapped[int] = mapped_column(SmallInteger)
    polled_at: Mapped[datetime | None] = _build_nullable_time_column()
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    scanned_session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id"))
    created_at: Mapped[datetime] = _build_now_column()
    expires_at: Mapped[datetime] = _build_time_column()


class Verification(Table):
    """One attempt at real-name verification (S1). The ID number is stored, encrypted, only until it is reviewed."""

    __tablename__ = "verifications"
    __table_args__ = (
        CheckConstraint("method IN ('alipay', 'id-card')", name="method"),
        CheckConstraint("state IN ('started', 'submitted', 'under-review', 'approved', 'rejected')", name="state"),
        Index("verifications_reference_key", "reference", unique=True),
        Index(
            "verifications_open_key",
            "user_id",
            unique=True,
            postgresql_where=text("state IN ('submitted', 'under-review')"),
        ),
        Index(None, "user_id", "id"),
        Index(None, "state", "id"),
        Index(None, "id_number_index"),
    )

    id: Mapped[UUID] = _build_id_column()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    method: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    reference: Mapped[str | None] = mapped_column(Text, comment="the provider's id of the verification")
    name: Mapped[str | None] = mapped_column(Text)
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_number_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str | None] = mapped_column(Text)
    reviewer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = _build_now_column()
    expires_at: Mapped[datetime | None] = _build_nullable_time_column()
    decided_at: Mapped[datetime | None] = _build_nullable_time_column()


class SecurityKey(Table):
    """A user's security key (WebAuthn; rule S16)."""

    __tablename__ = "security_keys"
    __table_args__ = (
        Index("security_keys_credential_id_key", "credential_id", unique=True),
        Index(None, "user_id"),
    )

    id: Mapped[UUID] = _build_id_column()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    transports: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    created_at: Mapped[datetime] = _build_now_column()
    used_at: Mapped[datetime | None] = _build_nullable_time_column()


class SecurityKeyChallenge(Table):
    """A challenge for one session and one purpose: to register a key or to prove one."""

    __tablename__ = "security_key_challenges"
    __table_args__ = (CheckConstraint("purpose IN ('registration', 'check')", name="purpose"),)

    id: Mapped[UUID] = _build_id_column()
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(Text)
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = _build_time_column()


class Operator(Table):
    """A user who is a platform operator. `enrolment_hash` allows one registration of the first security key."""

    __tablename__ = "operators"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    enrolment_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = _build_now_column()
    removed_at: Mapped[datetime | None] = _build_nullable_time_column()
