"""Accounts, the ways into them, and what is kept of each sign-in."""

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


def _id() -> MappedColumn[UUID]:
    return mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))


def _now() -> MappedColumn[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def _time() -> MappedColumn[datetime]:
    return mapped_column(DateTime(timezone=True))


def _maybe_time() -> MappedColumn[datetime | None]:
    return mapped_column(DateTime(timezone=True))


class User(Table):
    """A registered user: an account that holds a phone and points, apart from any member row (S18, S20)."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'disabled', 'closed')", name="status"),
        CheckConstraint("(status = 'closed') = (phone_index IS NULL)", name="phone"),
        Index("users_phone_index_key", "phone_index", unique=True),
        Index("users_id_number_index_key", "id_number_index", unique=True),
    )

    id: Mapped[UUID] = _id()
    phone_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    status: Mapped[str] = mapped_column(Text, server_default="active")
    verified_name: Mapped[str | None] = mapped_column(Text)
    verified_at: Mapped[datetime | None] = _maybe_time()
    verification_method: Mapped[str | None] = mapped_column(Text)
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    party_member: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = _now()


class Session(Table):
    """One sign-in of one user on one device; ending it ends its tokens at the next call."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[UUID] = _id()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    client_id: Mapped[str] = mapped_column(Text)
    methods: Mapped[list[str]] = mapped_column(ARRAY(Text), comment="amr, RFC 8176")
    device: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(INET)
    created_at: Mapped[datetime] = _now()
    refreshed_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = _time()
    key_checked_at: Mapped[datetime | None] = _maybe_time()
    ended_at: Mapped[datetime | None] = _maybe_time()


class RefreshToken(Table):
    """One link of a session's chain of refresh tokens; a used one that comes again ends the session."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = _time()
    used_at: Mapped[datetime | None] = _maybe_time()


class SigningKey(Table):
    """A key of the access tokens. The newest whose time has come signs; all that are kept verify."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    private_cipher: Mapped[bytes] = mapped_column(LargeBinary)
    active_from: Mapped[datetime] = _time()


class OAuthClient(Table):
    """A program that may ask for tokens. `device` and `app` clients are public, `service` ones hold secrets."""

    __tablename__ = "oauth_clients"
    __table_args__ = (CheckConstraint("kind IN ('app', 'device', 'service')", name="kind"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    refresh_seconds: Mapped[int] = mapped_column(Integer, server_default="0")
    session_seconds: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime] = _now()
    revoked_at: Mapped[datetime | None] = _maybe_time()


class ClientSecret(Table):
    """A secret of a service client; two overlap while a new one is rolled out."""

    __tablename__ = "client_secrets"
    __table_args__ = (Index(None, "client_id"),)

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.id"))
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime | None] = _maybe_time()


class PhoneCode(Table):
    """The one live code of a phone for a purpose; a new one takes the place of the old."""

    __tablename__ = "phone_codes"

    phone_index: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text, primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = _time()
    used_at: Mapped[datetime | None] = _maybe_time()


class RateLimit(Table):
    """A token bucket, kept as the one time at which it will be full again."""

    __tablename__ = "rate_limits"
    __table_args__ = (Index(None, "full_at"),)

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    full_at: Mapped[datetime] = _time()


class SimulatedMessage(Table):
    """What the simulated SMS gateway delivers; readable in development only."""

    __tablename__ = "simulated_messages"
    __table_args__ = (Index(None, "phone_index", "id"),)

    id: Mapped[UUID] = _id()
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)
    text_cipher: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = _now()
    arrives_at: Mapped[datetime] = _time()


class DeviceAuthorization(Table):
    """A console waiting for a scan (RFC 8628): its public code, its secret's hash, and who scanned with what."""

    __tablename__ = "device_authorizations"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'scanned', 'approved', 'refused', 'redeemed')", name="state"),
        CheckConstraint("(state = 'pending') = (scanned_session_id IS NULL)", name="scanned"),
        Index("device_authorizations_device_code_hash_key", "device_code_hash", unique=True),
        Index("device_authorizations_user_code_key", "user_code", unique=True),
        Index(None, "expires_at"),
    )

    id: Mapped[UUID] = _id()
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.id"))
    device_code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    user_code: Mapped[str] = mapped_column(Text)
    ticket_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text, server_default="pending")
    device: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(INET)
    number: Mapped[int] = mapped_column(SmallInteger)
    wrong_numbers: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    interval_seconds: Mapped[int] = mapped_column(SmallInteger)
    polled_at: Mapped[datetime | None] = _maybe_time()
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    scanned_session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id"))
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = _time()


class Verification(Table):
    """One attempt at real-name verification (S1). The ID number is kept, encrypted, only while a review needs it."""

    __tablename__ = "verifications"
    __table_args__ = (
        CheckConstraint("method IN ('alipay', 'id-card')", name="method"),
        CheckConstraint("state IN ('started', 'submitted', 'under_review', 'approved', 'rejected')", name="state"),
        Index("verifications_reference_key", "reference", unique=True),
        Index(
            "verifications_open_key",
            "user_id",
            unique=True,
            postgresql_where=text("state IN ('submitted', 'under_review')"),
        ),
        Index(None, "user_id", "id"),
        Index(None, "state", "id"),
        Index(None, "id_number_index"),
    )

    id: Mapped[UUID] = _id()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    method: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    reference: Mapped[str | None] = mapped_column(Text, comment="the provider's name for it")
    name: Mapped[str | None] = mapped_column(Text)
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_number_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str | None] = mapped_column(Text)
    reviewer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime | None] = _maybe_time()
    decided_at: Mapped[datetime | None] = _maybe_time()


class SecurityKey(Table):
    """A user's security key (WebAuthn, S16)."""

    __tablename__ = "security_keys"
    __table_args__ = (
        Index("security_keys_credential_id_key", "credential_id", unique=True),
        Index(None, "user_id"),
    )

    id: Mapped[UUID] = _id()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    transports: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    created_at: Mapped[datetime] = _now()
    used_at: Mapped[datetime | None] = _maybe_time()


class SecurityKeyChallenge(Table):
    """A challenge given to one session for one use: registering a key or proving one."""

    __tablename__ = "security_key_challenges"
    __table_args__ = (CheckConstraint("purpose IN ('registration', 'check')", name="purpose"),)

    id: Mapped[UUID] = _id()
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(Text)
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = _time()


class Operator(Table):
    """A user who is a platform operator; `enrolment_hash` lets them register their first security key, once."""

    __tablename__ = "operators"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    enrolment_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = _now()
    removed_at: Mapped[datetime | None] = _maybe_time()
