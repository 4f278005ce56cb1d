"""The retention of sign-in data: codes, authorizations, challenges, secrets, refresh tokens, rate limits, phones."""

from datetime import timedelta

from sqlalchemy import and_, exists, func, or_

from app.database.retention import CleanUp, Schedule, delete_rows
from app.schema.auth import RefreshToken, SecurityKeyChallenge, Session, UserPhone
from app.schema.members import Member
from app.schema.reports import MemberPhone
from app.schema.sign_in import ClientSecret, DeviceAuthorization, PhoneCode, RateLimit, SimulatedMessage

RETENTION = timedelta(days=1)
REPLAY_RETENTION = timedelta(days=7)
"""How long the reuse of a refresh token ends its session. After that the token is unknown."""

FORMER_PHONE_RETENTION = timedelta(days=31)
"""A point event by phone is accepted for thirty days and means the user who had the phone on its day."""

_BEFORE = func.now() - RETENTION
_SESSION_ENDED = exists().where(
    Session.id == RefreshToken.session_id, or_(Session.ended_at < _BEFORE, Session.expires_at < _BEFORE)
)
IN_NO_DIRECTORY = ~or_(
    exists().where(Member.phone_index == UserPhone.phone_index, Member.removed_at.is_(None)),
    exists().where(Member.phone_index == UserPhone.phone_index, Member.removed_at.is_not(None)),
    exists().where(MemberPhone.phone_index == UserPhone.phone_index),
)
"""Whether no member row has or had this former phone of a user. From the others the people of past days are counted."""

CLEAN_UPS = (
    CleanUp(
        name="phone-codes",
        deletes="codes sent to phones",
        tables=("phone_codes",),
        after=RETENTION,
        since="the code expired",
        run=delete_rows(PhoneCode, PhoneCode.expires_at < _BEFORE),
    ),
    CleanUp(
        name="simulated-messages",
        deletes="messages of the simulated SMS gateway (development only)",
        tables=("simulated_messages",),
        after=RETENTION,
        since="the message was sent",
        run=delete_rows(SimulatedMessage, SimulatedMessage.created_at < _BEFORE),
    ),
    CleanUp(
        name="device-authorizations",
        deletes="sign-ins by QR code",
        tables=("device_authorizations",),
        after=RETENTION,
        since="the QR code expired",
        run=delete_rows(DeviceAuthorization, DeviceAuthorization.expires_at < _BEFORE),
    ),
    CleanUp(
        name="security-key-challenges",
        deletes="challenges to security keys",
        tables=("security_key_challenges",),
        after=RETENTION,
        since="the challenge expired",
        run=delete_rows(SecurityKeyChallenge, SecurityKeyChallenge.expires_at < _BEFORE),
    ),
    CleanUp(
        name="client-secrets",
        deletes="replaced secrets of service clients",
        tables=("client_secrets",),
        after=RETENTION,
        since="the secret expired",
        run=delete_rows(ClientSecret, and_(ClientSecret.expires_at.is_not(None), ClientSecret.expires_at < _BEFORE)),
    ),
    CleanUp(
        name="used-refresh-tokens",
        deletes="refresh tokens that were used",
        tables=("refresh_tokens",),
        after=REPLAY_RETENTION,
        since="the token was used",
        run=delete_rows(RefreshToken, RefreshToken.used_at < func.now() - REPLAY_RETENTION),
    ),
    CleanUp(
        name="refresh-tokens-of-ended-sessions",
        deletes="refresh tokens of sessions that are over",
        tables=("refresh_tokens",),
        after=RETENTION,
        since="the session ended or expired",
        run=delete_rows(RefreshToken, _SESSION_ENDED),
    ),
    CleanUp(
        name="rate-limits",
        deletes="token buckets of rate limits (a missing row is a full bucket)",
        tables=("rate_limits",),
        after=timedelta(0),
        since="the bucket is full again",
        run=delete_rows(RateLimit, RateLimit.full_at < func.now()),
        schedule=Schedule.EVERY_TEN_MINUTES,
    ),
    CleanUp(
        name="former-phones",
        deletes="former phones of users, those that no member row has or had",
        tables=("user_phones",),
        after=FORMER_PHONE_RETENTION,
        since="the user gave the phone up",
        run=delete_rows(UserPhone, and_(UserPhone.until < func.now() - FORMER_PHONE_RETENTION, IN_NO_DIRECTORY)),
        schedule=Schedule.DAILY,
    ),
)
