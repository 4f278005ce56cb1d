"""The QR scan: the device flow (RFC 8628) with the protections of cross-device flows (RFC 10027, BCP 247).

Three secrets are separate. The `user_code` in the QR code is public: a person who photographs it can only scan it. The
`device_code` belongs to the console: it is stored as a hash, sent only in bodies and valid for one redemption. Only the
user and the session (the phone) that scanned can approve. The console shows the number to match only after the scan,
so a code that is sent to another person does not contain the number.

Each step is one statement with the previous state as its condition, so one of several concurrent calls succeeds.
"""

import json
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Update, bindparam, case, exists, func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.device_flow.watch import SIGN_IN_CHANNEL
from app.auth.errors import AlreadyScanned, CodeExpired, NotOnThisClient, ScanDecided, WrongNumber
from app.auth.oauth.protocol import Client, OAuthError, build_invalid_grant, require_parameter
from app.auth.oauth.token_requests import TokenRequest
from app.auth.rate_limits import Limit, take_token, take_token_by_address
from app.auth.sessions import TokenOut, start_session
from app.authz.access import UserScope
from app.core.cipher import create_secret, hash_secret
from app.database.db import Readable, on_constraint
from app.database.rows import fetch_row
from app.schema.auth import DeviceAuthorization, OAuthClient, Session, User
from app.web.errors import NotFound, Problem, Unavailable

LIFETIME = timedelta(minutes=3)
INTERVAL = 5
MAX_WRONG_NUMBERS = 3
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, no similar letters (RFC 8628 §6.1)

ADDRESS_LIMIT = Limit("device-address", burst=120, every=timedelta(seconds=1))
SCANNER_LIMIT = Limit("scan-user", burst=20, every=timedelta(seconds=30))


@dataclass(frozen=True, slots=True)
class StartedAuthorization:
    """A new device authorization with its codes. Times are seconds."""

    id: UUID
    device_code: str
    user_code: str
    expires_in: int
    interval: int


def build_scan_uri(issuer: str, user_code: str) -> str:
    """Return the address in the QR code. The app opens it; a browser shows there how to get the app."""
    return f"{issuer}/phone/scan?code={user_code}"


def normalize_user_code(given: str) -> str:
    """Return the stored form of a typed user code: `wdjb mjht` is `WDJB-MJHT`."""
    letters = "".join(letter for letter in given.upper() if letter in _LETTERS)
    return f"{letters[:4]}-{letters[4:]}"


async def start_device_authorization(
    db: AsyncConnection, actor: Actor, client: Client, device: str | None
) -> StartedAuthorization:
    """Start a device authorization for a client that may use the device flow.

    Raises TooManyRequests; Unavailable if another authorization has the same random user code.
    """
    await take_token_by_address(db, ADDRESS_LIMIT, actor.address)
    device_code = create_secret()
    user_code = normalize_user_code("".join(secrets.choice(_LETTERS) for _ in range(8)))
    values = {
        "client_id": client.id,
        "device_code_hash": hash_secret(device_code),
        "user_code": user_code,
        "device": device,
        "address": actor.address,
        "number": 10 + secrets.randbelow(90),
        "interval_seconds": INTERVAL,
        "expires_at": func.now() + LIFETIME,
    }
    statement = insert(DeviceAuthorization).values(values).returning(DeviceAuthorization.id)
    with on_constraint(("device_authorizations_user_code_key", Unavailable)):
        authorization_id = (await db.execute(statement)).scalar_one()
    subject = ("device_authorization", authorization_id)
    await record(db, actor, "device_authorization.started", subject=subject)
    return StartedAuthorization(authorization_id, device_code, user_code, int(LIFETIME.total_seconds()), INTERVAL)


class ScanRow(NamedTuple):
    """The fields of a device authorization that the scanning phone reads."""

    id: UUID
    state: str
    device: str | None
    address: str | None
    created_at: datetime
    expires_at: datetime
    client: str


SCAN_COLUMNS = (
    DeviceAuthorization.id,
    DeviceAuthorization.state,
    DeviceAuthorization.device,
    DeviceAuthorization.address,
    DeviceAuthorization.created_at,
    DeviceAuthorization.expires_at,
    select(OAuthClient.name).where(OAuthClient.id == DeviceAuthorization.client_id).scalar_subquery().label("client"),
)


async def scan_code(db: AsyncConnection, scope: UserScope, code: str) -> ScanRow | Problem:
    """Bind a pending code to the scanning user and session. A second scan by the same session returns the same row.

    NotFound, CodeExpired and AlreadyScanned (by another session) are returned, not raised, so that a guess commits and
    counts. Raises NotOnThisClient if the session is not one of the phone app, and TooManyRequests.
    """
    await take_token(db, SCANNER_LIMIT, str(scope.user_id))
    app = select(exists().where(OAuthClient.id == scope.client_id, OAuthClient.kind == "app"))
    if not await db.scalar(app):
        raise NotOnThisClient
    user_code = normalize_user_code(code)
    claim = (
        update(DeviceAuthorization)
        .where(DeviceAuthorization.user_code == user_code, DeviceAuthorization.state == "pending")
        .where(DeviceAuthorization.expires_at > func.now())
        .values(state="scanned", user_id=scope.user_id, scanned_session_id=scope.session_id)
        .returning(*SCAN_COLUMNS, DeviceAuthorization.number)
    )
    row = (await db.execute(claim)).one_or_none()
    if row is not None:
        await _notify_console(db, row.id, "scanned", row.number)
        await record(db, scope.actor, "device_authorization.scanned", subject=("device_authorization", row.id))
        return ScanRow._make(row[:-1])
    again = select(
        *SCAN_COLUMNS,
        DeviceAuthorization.scanned_session_id,
        (DeviceAuthorization.expires_at <= func.now()).label("expired"),
    ).where(DeviceAuthorization.user_code == user_code)
    found = (await db.execute(again)).one_or_none()
    if found is None:
        return await _record_refusal(db, scope, "scan_refused", None, NotFound())
    if found.expired:
        return await _record_refusal(db, scope, "scan_refused", found.id, CodeExpired())
    if found.scanned_session_id != scope.session_id:
        return await _record_refusal(db, scope, "scan_refused", found.id, AlreadyScanned())
    return ScanRow._make(found[:-2])


async def approve_sign_in(db: AsyncConnection, scope: UserScope, scan_id: UUID, number: int) -> Problem | None:
    """Approve the console's sign-in with the number that it shows. Only the scanning session can approve.

    A wrong number counts, and the third one refuses the sign-in. Problems are returned, so that they commit.
    """
    right = DeviceAuthorization.number == number
    last_try = DeviceAuthorization.wrong_numbers + 1 >= MAX_WRONG_NUMBERS
    decide = (
        _build_decision_update(scope, scan_id)
        .values(
            state=case((right, "approved"), (last_try, "refused"), else_=DeviceAuthorization.state),
            wrong_numbers=DeviceAuthorization.wrong_numbers + case((right, 0), else_=1),
        )
        .returning(DeviceAuthorization.state)
    )
    state = await db.scalar(decide)
    if state is None:
        return await _check_repeated(db, scope, scan_id, right, "approved", "redeemed")
    if state != "scanned":
        await _notify_console(db, scan_id, state)
    if state == "approved":
        await _record_decision(db, scope, scan_id, "approved")
        return None
    await _record_decision(db, scope, scan_id, "refused", reason="wrong-number", state=state)
    return WrongNumber()


async def refuse_sign_in(db: AsyncConnection, scope: UserScope, scan_id: UUID) -> Problem | None:
    """Refuse the console's sign-in. Only the scanning session can refuse. A problem is returned, not raised,
    so that the transaction commits."""
    decided = await db.scalar(_build_decision_update(scope, scan_id).values(state="refused").returning(literal(1)))
    if decided is None:
        by_person = DeviceAuthorization.wrong_numbers < MAX_WRONG_NUMBERS
        return await _check_repeated(db, scope, scan_id, by_person, "refused")
    await _notify_console(db, scan_id, "refused")
    await _record_decision(db, scope, scan_id, "refused")
    return None


def _build_decision_update(scope: UserScope, scan_id: UUID) -> Update:
    return (
        update(DeviceAuthorization)
        .where(DeviceAuthorization.id == scan_id, DeviceAuthorization.state == "scanned")
        .where(DeviceAuthorization.scanned_session_id == scope.session_id)
        .where(DeviceAuthorization.expires_at > func.now())
    )


async def _check_repeated(
    db: AsyncConnection, scope: UserScope, scan_id: UUID, condition: ColumnElement[bool], *states: str
) -> Problem | None:
    """Return None if the decision on a scan is repeated: the scan is in one of these states, under this condition.
    Else record the refusal and return the reason."""
    row = await find_scan(db, scope, scan_id)
    error: Problem = NotFound()
    if row is not None:
        is_same = select(condition).where(DeviceAuthorization.id == scan_id)
        if row.state in states and await db.scalar(is_same):
            return None
        error = CodeExpired() if row.state == "scanned" else ScanDecided()
    return await _record_refusal(db, scope, "decision_refused", scan_id, error)


_SCAN = select(*SCAN_COLUMNS).where(
    DeviceAuthorization.id == bindparam("scan_id"), DeviceAuthorization.scanned_session_id == bindparam("session_id")
)


async def find_scan(db: Readable, scope: UserScope, scan_id: UUID) -> ScanRow | None:
    """Return a scan of this session; None if another session scanned it."""
    return await fetch_row(db, _SCAN, ScanRow, {"scan_id": scan_id, "session_id": scope.session_id})


async def _record_decision(db: AsyncConnection, scope: UserScope, scan_id: UUID, decision: str, **after: str) -> None:
    await record(
        db,
        scope.actor,
        f"device_authorization.{decision}",
        subject=("device_authorization", scan_id),
        after=after or None,
    )


async def _record_refusal(
    db: AsyncConnection, scope: UserScope, action: str, subject_id: UUID | None, problem: Problem
) -> Problem:
    subject = ("device_authorization", subject_id)
    await record(db, scope.actor, f"device_authorization.{action}", subject=subject, after={"reason": problem.slug})
    return problem


async def _notify_console(db: AsyncConnection, authorization_id: UUID, state: str, number: int | None = None) -> None:
    """Notify the waiting console when this transaction commits."""
    payload = json.dumps({"id": str(authorization_id), "state": state, "number": number})
    await db.execute(select(func.pg_notify(SIGN_IN_CHANNEL, payload)))


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
RETURNING new.id, old.state AS before, new.state, new.user_id, new.scanned_session_id, new.number,
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
            request.db, request.issuer, actor, request.client, row.user_id, methods=["mca"], device=request.device
        )
        await record(request.db, actor, "device_authorization.redeemed", subject=subject)
        return tokens
    if row.state == "refused":
        return denied
    if row.expired:
        return OAuthError("expired_token", "not approved in time; ask for a new code")
    extra = {"match_number": row.number} if row.state == "scanned" else {}
    state_text = f"scanned; the phone asks for the number {row.number}" if extra else "not scanned yet"
    if row.too_fast:
        return OAuthError("slow_down", f"{state_text}; wait five seconds more between polls", extra=extra)
    return OAuthError("authorization_pending", state_text, extra=extra)


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
