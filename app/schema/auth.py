"""Accounts, their sessions, keys and proofs of the name."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, mapped_column

from app.database.db import Table
from app.schema.columns import build_id_column, build_now_column, build_nullable_time_column, build_time_column


class User(Table):
    """A registered user: an account with a phone and points, independent of member rows (S18, S20)."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'disabled', 'closed')", name="status"),
        # An account without a phone has lost it to a person who got the number from the carrier.
        CheckConstraint("status <> 'closed' OR phone_index IS NULL", name="phone"),
        Index("users_phone_index_key", "phone_index", unique=True),
        Index("users_id_number_index_key", "id_number_index", unique=True),
    )

    id: Mapped[UUID] = build_id_column()
    phone_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_since: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp(), comment="NULL: since the account was created"
    )
    status: Mapped[str] = mapped_column(Text, server_default="active")
    verified_name: Mapped[str | None] = mapped_column(Text)
    verified_at: Mapped[datetime | None] = build_nullable_time_column()
    verification_method: Mapped[str | None] = mapped_column(Text)
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    party_member: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[datetime] = build_now_column()


class UserPhone(Table):
    """A phone that a user had in a range of time that is over. A trigger on `users` writes it (migration 0033)."""

    __tablename__ = "user_phones"
    __table_args__ = (CheckConstraint("until >= since", name="range"), Index(None, "phone_index"))

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    since: Mapped[datetime] = build_time_column()
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)


class Session(Table):
    """One sign-in of one user on one device. Ending a session ends its tokens at their next use."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[UUID] = build_id_column()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    client_id: Mapped[str] = mapped_column(Text)
    methods: Mapped[list[str]] = mapped_column(ARRAY(Text), comment="authentication methods (amr, RFC 8176)")
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text), comment="NULL: all scopes of the app or the console")
    device: Mapped[str | None] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(INET)
    created_at: Mapped[datetime] = build_now_column()
    refreshed_at: Mapped[datetime] = build_now_column()
    expires_at: Mapped[datetime] = build_time_column()
    key_checked_at: Mapped[datetime | None] = build_nullable_time_column()
    checked_key_id: Mapped[UUID | None] = mapped_column(Uuid, comment="the security key that was proved; no reference")
    ended_at: Mapped[datetime | None] = build_nullable_time_column()


class RefreshToken(Table):
    """One token in a session's chain of refresh tokens. The reuse of a used token ends the session."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"),)

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = build_now_column()
    expires_at: Mapped[datetime] = build_time_column()
    used_at: Mapped[datetime | None] = build_nullable_time_column()
    used_from: Mapped[str | None] = mapped_column(INET)


class Verification(Table):
    """One attempt at real-name verification (S1). `method` is `id-card` or that of a provider.

    The ID number is stored, encrypted, only until it is decided.
    """

    __tablename__ = "verifications"
    __table_args__ = (
        CheckConstraint("method ~ '^[a-z][a-z0-9-]{1,39}$'", name="method"),
        CheckConstraint("state IN ('started', 'submitted', 'under-review', 'approved', 'rejected')", name="state"),
        Index("verifications_reference_key", "reference", unique=True),
        Index("verifications_provider_token_key", "method", "provider_token", unique=True),
        Index(
            "verifications_open_key",
            "user_id",
            unique=True,
            postgresql_where=text("state IN ('submitted', 'under-review')"),
        ),
        Index(None, "user_id", "id"),
        Index(None, "state", "id"),
        Index(None, "id_number_index"),
        Index(None, "recovery_id"),
    )

    id: Mapped[UUID] = build_id_column()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    method: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    reference: Mapped[str | None] = mapped_column(Text, comment="the secret in the address that the person opens")
    provider_token: Mapped[str | None] = mapped_column(Text, comment="the provider's id, while it is under way")
    provider_url: Mapped[str | None] = mapped_column(Text, comment="the provider's page, while it is under way")
    name: Mapped[str | None] = mapped_column(Text)
    id_number_index: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_number_cipher: Mapped[bytes | None] = mapped_column(LargeBinary)
    reason: Mapped[str | None] = mapped_column(Text)
    reviewer_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    recovery_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("account_recoveries.id"), comment="the recovery that it proves; NULL: it verifies the user"
    )
    created_at: Mapped[datetime] = build_now_column()
    expires_at: Mapped[datetime | None] = build_nullable_time_column()
    decided_at: Mapped[datetime | None] = build_nullable_time_column()


class VerificationPicture(Table):
    """A picture of an ID card, encrypted. It is deleted when the verification is decided."""

    __tablename__ = "verification_pictures"
    __table_args__ = (CheckConstraint("side IN ('front', 'back')", name="side"),)

    verification_id: Mapped[UUID] = mapped_column(ForeignKey("verifications.id", ondelete="CASCADE"), primary_key=True)
    side: Mapped[str] = mapped_column(Text, primary_key=True)
    content_cipher: Mapped[bytes] = mapped_column(LargeBinary)


class AccountRecovery(Table):
    """A person without the phone of their account proves their real name again, and the account gets another phone.

    `phone-change`: a user who is signed in has lost the present phone. `lost-phone`: the requester is signed in with a
    new account, whose phone the account gets. `sign-in`: a person signs in with the phone of an account that was not
    used for a long time, and has no account until the name is proved.
    """

    __tablename__ = "account_recoveries"
    __table_args__ = (
        CheckConstraint("kind IN ('phone-change', 'lost-phone', 'sign-in')", name="kind"),
        CheckConstraint("state IN ('proving', 'waiting', 'done', 'refused', 'stopped', 'expired')", name="state"),
        CheckConstraint("(kind = 'sign-in') = (requester_id IS NULL)", name="requester"),
        CheckConstraint("state <> 'waiting' OR (account_id IS NOT NULL AND effective_at IS NOT NULL)", name="waiting"),
        CheckConstraint("(state IN ('proving', 'waiting')) = (ended_at IS NULL)", name="ended"),
        Index(
            "account_recoveries_one_of_requester_key",
            "requester_id",
            unique=True,
            postgresql_where=text("state IN ('proving', 'waiting')"),
        ),
        Index(
            "account_recoveries_one_of_account_key",
            "account_id",
            unique=True,
            postgresql_where=text("state = 'waiting' AND kind <> 'sign-in'"),
        ),
        Index("account_recoveries_secret_hash_key", "secret_hash", unique=True),
        Index("account_recoveries_effective_at_idx", "effective_at", postgresql_where=text("state = 'waiting'")),
        Index("account_recoveries_expires_at_idx", "expires_at", postgresql_where=text("state = 'proving'")),
        Index(None, "account_id"),
        Index(None, "requester_id"),
    )

    id: Mapped[UUID] = build_id_column()
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="proving")
    reason: Mapped[str | None] = mapped_column(Text, comment="why it was refused or stopped")
    requester_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id"), comment="NULL: not known until the name is proved"
    )
    phone_cipher: Mapped[bytes | None] = mapped_column(LargeBinary, comment="the new phone, until the recovery ends")
    secret_hash: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="of the link in the SMS that stops it, or of the handle of a sign-in"
    )
    created_at: Mapped[datetime] = build_now_column()
    expires_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), comment="until then the name must have been proved"
    )
    effective_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), comment="from then on the worker gives the account the phone"
    )
    ended_at: Mapped[datetime | None] = build_nullable_time_column()


class SecurityKey(Table):
    """A user's security key (WebAuthn; rule S16)."""

    __tablename__ = "security_keys"
    __table_args__ = (
        Index("security_keys_credential_id_key", "credential_id", unique=True),
        Index(None, "user_id"),
    )

    id: Mapped[UUID] = build_id_column()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    transports: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    created_at: Mapped[datetime] = build_now_column()
    used_at: Mapped[datetime | None] = build_nullable_time_column()


class SecurityKeyChallenge(Table):
    """A challenge for one session and one purpose: to register a key or to prove one."""

    __tablename__ = "security_key_challenges"
    __table_args__ = (CheckConstraint("purpose IN ('registration', 'check')", name="purpose"),)

    id: Mapped[UUID] = build_id_column()
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(Text)
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = build_time_column()


class Operator(Table):
    """A user who is a platform operator. `enrolment_hash` allows one registration of the first security key, until
    `enrolment_expires_at`."""

    __tablename__ = "operators"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    enrolment_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    enrolment_expires_at: Mapped[datetime | None] = build_nullable_time_column()
    created_at: Mapped[datetime] = build_now_column()
    removed_at: Mapped[datetime | None] = build_nullable_time_column()
