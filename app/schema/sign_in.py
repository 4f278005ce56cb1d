"""What a sign-in needs: programs, codes, scans, limits, and the keys of the tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table
from app.schema.columns import build_id_column, build_now_column, build_nullable_time_column, build_time_column


class SigningKey(Table):
    """A key of the access tokens. The newest key whose start has come signs; every stored key verifies."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    private_cipher: Mapped[bytes] = mapped_column(LargeBinary)
    active_from: Mapped[datetime] = build_time_column()


class OAuthClient(Table):
    """A program that signs people in or requests tokens. A `service` has secrets, and an `app` other than the built-in
    one, which is the back end of an app. The `console` is this service's own pages."""

    __tablename__ = "oauth_clients"
    __table_args__ = (CheckConstraint("kind IN ('app', 'console', 'device', 'service')", name="kind"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    refresh_seconds: Mapped[int] = mapped_column(Integer, server_default="0")
    session_seconds: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime] = build_now_column()
    revoked_at: Mapped[datetime | None] = build_nullable_time_column()


class ClientSecret(Table):
    """A secret of a confidential client. Two secrets overlap while a new one is rolled out."""

    __tablename__ = "client_secrets"
    __table_args__ = (Index(None, "client_id"),)

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("oauth_clients.id"))
    created_at: Mapped[datetime] = build_now_column()
    expires_at: Mapped[datetime | None] = build_nullable_time_column()


class PhoneCode(Table):
    """A code that was sent to a phone. Only the caller who requested it has its handle, with which it is redeemed."""

    __tablename__ = "phone_codes"
    __table_args__ = (Index(None, "phone_index"),)

    handle_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)
    purpose: Mapped[str] = mapped_column(Text)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    created_at: Mapped[datetime] = build_now_column()
    expires_at: Mapped[datetime] = build_time_column()
    used_at: Mapped[datetime | None] = build_nullable_time_column()


class RateLimit(Table):
    """A token bucket, stored as the time at which it is full again."""

    __tablename__ = "rate_limits"
    __table_args__ = (Index(None, "full_at"),)

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    full_at: Mapped[datetime] = build_time_column()


class SimulatedMessage(Table):
    """A message of the simulated SMS gateway. It can be read in development only."""

    __tablename__ = "simulated_messages"
    __table_args__ = (Index(None, "phone_index", "id"),)

    id: Mapped[UUID] = build_id_column()
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)
    text_cipher: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = build_now_column()
    arrives_at: Mapped[datetime] = build_time_column()


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

    id: Mapped[UUID] = build_id_column()
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
    polled_at: Mapped[datetime | None] = build_nullable_time_column()
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    scanned_session_id: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id"))
    created_at: Mapped[datetime] = build_now_column()
    expires_at: Mapped[datetime] = build_time_column()
