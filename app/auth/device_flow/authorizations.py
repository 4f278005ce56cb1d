"""The client's part of the device flow (RFC 8628) with the protections of cross-device flows (RFC 10027, BCP 247).

Four secrets are separate:

- The `scan_code` in the QR code is public: a person who photographs it can only scan it.
- The `user_code` is beside the QR code. Every client shows it, and the person types it where nothing can be scanned. A
  phone that has scanned asks for its end, so a QR code that is sent to another person opens nothing.
- The number of the console replaces the end of the user code there. The console shows it only after the scan, so even a
  picture of the whole screen does not contain it.
- The `device_code` belongs to the client: it is stored as a hash, sent only in bodies and valid for one redemption.

Each step is one statement with the previous state as its condition, so one of several concurrent calls succeeds.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.oauth.protocol import Client, OAuthError, build_invalid_grant, require_parameter
from app.auth.oauth.token_requests import TokenRequest
from app.auth.rate_limits import Limit, NetworkLimit, take_token_by_network
from app.auth.sessions import TokenOut, start_session
from app.authz.scopes import OWN_SCOPES
from app.core.cipher import create_secret, hash_secret
from app.database.db import on_constraint
from app.schema.auth import Session, User
from app.schema.sign_in import DeviceAuthorization
from app.web.errors import Unavailable

LIFETIME = timedelta(minutes=3)
INTERVAL = 5
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, no similar letters (RFC 8628 §6.1)
USER_CODE_END = 4
"""The number of letters at the end of the user code that a phone asks for after the scan."""

NETWORK_LIMIT = NetworkLimit(
    Limit("device-address", burst=120, every=timedelta(seconds=1)),
    Limit("device-network", burst=480, every=timedelta(milliseconds=250)),
)
PICTURE_LIMIT = NetworkLimit(
    Limit("picture-address", burst=120, every=timedelta(seconds=1)),
    Limit("picture-network", burst=480, every=timedelta(milliseconds=250)),
)
"""A page shows the picture of a code once or twice."""


@dataclass(frozen=True, slots=True)
class StartedAuthorization:
    """A new device authorization with its codes. Times are seconds."""

    id: UUID
    device_code: str
    user_code: str
    scan_code: str
    expires_in: int
    interval: int


def normalize_user_code(given: str) -> str:
    """Return the stored form of a typed user code: `wdjb mjht` is `WDJB-MJHT`."""
    letters = _keep_letters(given)
    return f"{letters[:4]}-{letters[4:]}"


def get_user_code_end(given: str) -> str:
    """Return the letters of a typed end of a user code in their stored form: `mj ht` is `MJHT`."""
    return _keep_letters(given)[-USER_CODE_END:]


def _keep_letters(given: str) -> str:
    return "".join(letter for letter in given.upper() if letter in _LETTERS)


async def start_device_authorization(
    db: AsyncConnection, actor: Actor, client: Client, device: str | None, scopes: Collection[str] = OWN_SCOPES
) -> StartedAuthorization:
    """Start a device authorization of these scopes for a client that may use the device flow, or for the console.

    Raises TooManyRequests; Unavailable if another authorization has the same random user code.
    """
    await take_token_by_network(db, NETWORK_LIMIT, actor)
    device_code = create_secret()
    scan_code = secrets.token_urlsafe(12)
    user_code = normalize_user_code("".join(secrets.choice(_LETTERS) for _ in range(8)))
    values = {
        "client_id": client.id,
        "device_code_hash": hash_secret(device_code),
        "user_code": user_code,
        "scan_code": scan_code,
        "scopes": None if client.has_all_scopes else sorted(scopes),
        "device": device,
        "address": actor.address,
        "number": 10 + secrets.randbelow(90) if client.kind == "console" else None,
        "interval_seconds": INTERVAL,
        "expires_at": func.now() + LIFETIME,
    }
    statement = insert(DeviceAuthorization).values(values).returning(DeviceAuthorization.id)
    # The caller is not signed in yet, so the append-only audit gets no entry. Its first entry is the scan.
    with on_constraint(("device_authorizations_user_code_key", Unavailable)):
        authorization_id = (await db.execute(statement)).scalar_one()
    seconds = int(LIFETIME.total_seconds())
    return StartedAuthorization(authorization_id, device_code, user_code, scan_code, seconds, INTERVAL)


# One statement polls and redeems, so only one call changes `approved` into `redeemed` and sees this change.
_POLL = text("""
UPDATE device_authorizations AS d
SET polled_at = now(),
    interval_seconds = CASE
        WHEN d.polled_at > now() - make_interval(secs => d.interval_seconds - 0.5)
            THEN least(d.interval_seconds + 5, 60)
        ELSE d.interval_seconds END,
    state = CASE WHEN d.state = 'approved' AND d.expires_at > now() THEN 'redeemed' ELSE d.state END
WHERE d.device_code_hash = :device_code_hash AND d.client_id = :client_id
RETURNING new.id, old.state AS before, new.state, new.user_id, new.scanned_session_id, new.scopes,
          new.expires_at <= now() AS expired,
          coalesce(old.polled_at > now() - make_interval(secs => old.interval_seconds - 0.5), false) AS too_fast
""")


async def redeem_device_code(request: TokenRequest) -> TokenOut | OAuthError:
    """Return tokens for an approved scan, once. Errors (RFC 8628 §3.5) are returned, so that the poll counts."""
    given = {
        "device_code_hash": hash_secret(require_parameter(request.form, "device_code")),
        "client_id": request.client.id,
    }
    row = (await request.db.execute(_POLL, given)).one_or_none()
    if row is None or row.before == "redeemed":
        return build_invalid_grant("the device code is unknown or used")
    denied = OAuthError("access_denied", "refused on the phone")
    subject = ("device_authorization", row.id)
    if row.state == "redeemed":
        if not await _lock_approver_if_valid(request.db, row.user_id, row.scanned_session_id):
            refused = update(DeviceAuthorization).where(DeviceAuthorization.id == row.id).values(state="refused")
            await request.db.execute(refused)
            await record(request.db, request.actor, "device_authorization.refused", subject=subject)
            return denied
        actor = replace(request.actor, user_id=row.user_id)
        tokens = await start_session(
            request.db,
            request.issuer,
            actor,
            request.client,
            row.user_id,
            methods=["mca"],
            device=request.device,
            scopes=OWN_SCOPES if row.scopes is None else frozenset(row.scopes),
        )
        await record(request.db, actor, "device_authorization.redeemed", subject=subject)
        return tokens
    if row.state == "refused":
        return denied
    if row.expired:
        return OAuthError("expired_token", "not approved in time; ask for a new code")
    waits = "scanned, not approved yet" if row.state == "scanned" else "not scanned yet"
    if row.too_fast:
        return OAuthError("slow_down", f"{waits}; wait five seconds more between polls")
    return OAuthError("authorization_pending", waits)


async def _lock_approver_if_valid(db: AsyncConnection, user_id: UUID, session_id: UUID) -> bool:
    """Lock the rows of the user and of the session that approved, FOR NO KEY UPDATE. Return whether both are valid: the
    user is not disabled and the session has not ended.

    The locks last until the new session is committed. A concurrent suspension or sign-out commits before this check,
    or finds the new session and ends it.
    """
    statement = (
        select(Session.id)
        .join(User, User.id == Session.user_id)
        .where(Session.id == session_id, Session.ended_at.is_(None), User.id == user_id, User.status == "active")
        .with_for_update(key_share=True, of=[User, Session])
    )
    return await db.scalar(statement) is not None
