"""The QR scan: the device flow (RFC 8628), as safe as cross-device flows can be made (RFC 10027, BCP 247).

Three secrets are kept apart. The `user_code` in the QR is public: whoever photographs it can scan, nothing more. The
`device_code` is the console's alone: kept as a hash, sent in bodies only, good for one redemption. The approval
belongs to the user and the session (the phone) that scanned: nobody else can give it. The number that is matched
appears on the console after the scan, so that a code sent to a stranger does not carry it along.

Every step is one statement whose condition is the state before it: of many at once, one wins.
"""

import json
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Update, bindparam, case, exists, func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.device_flow.watch import CHANNEL
from app.auth.errors import AlreadyScanned, CodeExpired, NotOnThisClient, ScanDecided, WrongNumber
from app.auth.oauth.protocol import Client, OAuthError, invalid_grant, require
from app.auth.oauth.token_requests import TokenRequest
from app.auth.rate_limits import Limit, take, take_by_address
from app.auth.sessions import TokenOut, start_session
from app.authz.access import UserScope
from app.core.cipher import hash_secret, new_secret
from app.database.db import Readable
from app.database.rows import fetch_row
from app.schema.auth import DeviceAuthorization, OAuthClient, Session, User
from app.web.errors import NotFound, Problem

LIFETIME = timedelta(minutes=3)
INTERVAL = 5
WRONG_NUMBERS = 3
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, nothing alike (RFC 8628 §6.1)

PER_ADDRESS = Limit("device-address", burst=120, every=timedelta(seconds=1))
PER_SCANNER = Limit("scan-user", burst=20, every=timedelta(seconds=30))


@dataclass(frozen=True, slots=True)
class Started:
    id: UUID
    device_code: str
    user_code: str
    expires_in: int
    interval: int


def normal_user_code(given: str) -> str:
    """A user code as it is kept, however it was typed: `wdjb mjht` is `WDJB-MJHT`."""
    letters = "".join(letter for letter in given.upper() if letter in _LETTERS)
    return f"{letters[:4]}-{letters[4:]}"


async def start_device_authorization(db: AsyncConnection, actor: Actor, client: Client, device: str | None) -> Started:
    """A new code to be scanned, for a client that may use the device flow."""
    await take_by_address(db, PER_ADDRESS, actor.address)
    device_code = new_secret()
    user_code = normal_user_code("".join(secrets.choice(_LETTERS) for _ in range(8)))
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
    made = insert(DeviceAuthorization).values(values).returning(DeviceAuthorization.id)
    authorization_id = (await db.execute(made)).scalar_one()
    subject = ("device_authorization", authorization_id)
    await record(db, actor, "device_authorization.started", subject=subject)
    return Started(authorization_id, device_code, user_code, int(LIFETIME.total_seconds()), INTERVAL)


class ScanRow(NamedTuple):
    """A device authorization as the phone that scanned it sees it."""

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


async def scan(db: AsyncConnection, scope: UserScope, code: str) -> ScanRow | Problem:
    """Bind a pending code to the scanning user and session. Scanned again by the same, it is told again.

    NotFound, CodeExpired and AlreadyScanned (by another) are given back, so that a guess commits and counts. Raises
    NotOnThisClient where the session is no app's.
    """
    await take(db, PER_SCANNER, str(scope.user_id))
    app = select(exists().where(OAuthClient.id == scope.client_id, OAuthClient.kind == "app"))
    if not await db.scalar(app):
        raise NotOnThisClient
    user_code = normal_user_code(code)
    claim = (
        update(DeviceAuthorization)
        .where(DeviceAuthorization.user_code == user_code, DeviceAuthorization.state == "pending")
        .where(DeviceAuthorization.expires_at > func.now())
        .values(state="scanned", user_id=scope.user_id, scanned_session_id=scope.session_id)
        .returning(*SCAN_COLUMNS, DeviceAuthorization.number)
    )
    row = (await db.execute(claim)).one_or_none()
    if row is not None:
        await _tell(db, row.id, "scanned", row.number)
        await record(db, scope.actor, "device_authorization.scanned", subject=("device_authorization", row.id))
        return ScanRow._make(row[:-1])
    again = select(
        *SCAN_COLUMNS,
        DeviceAuthorization.scanned_session_id,
        (DeviceAuthorization.expires_at <= func.now()).label("expired"),
    ).where(DeviceAuthorization.user_code == user_code)
    found = (await db.execute(again)).one_or_none()
    if found is None:
        return await _refused(db, scope, "scan_refused", None, NotFound())
    if found.expired:
        return await _refused(db, scope, "scan_refused", found.id, CodeExpired())
    if found.scanned_session_id != scope.session_id:
        return await _refused(db, scope, "scan_refused", found.id, AlreadyScanned())
    return ScanRow._make(found[:-2])


async def approve(db: AsyncConnection, scope: UserScope, scan_id: UUID, number: int) -> Problem | None:
    """Let the console in, by whoever scanned it, with the number that it shows.

    A wrong number is counted, and the third refuses the scan. Refusals are given back, so that they commit.
    """
    right = DeviceAuthorization.number == number
    last_try = DeviceAuthorization.wrong_numbers + 1 >= WRONG_NUMBERS
    decide = (
        _decide(scope, scan_id)
        .values(
            state=case((right, "approved"), (last_try, "refused"), else_=DeviceAuthorization.state),
            wrong_numbers=DeviceAuthorization.wrong_numbers + case((right, 0), else_=1),
        )
        .returning(DeviceAuthorization.state)
    )
    state = await db.scalar(decide)
    if state is None:
        return await _refused(db, scope, "decision_refused", scan_id, await _why_undecidable(db, scope, scan_id))
    if state != "scanned":
        await _tell(db, scan_id, state)
    if state == "approved":
        await _record_decision(db, scope, scan_id, "approved")
        return None
    await _record_decision(db, scope, scan_id, "refused", reason="wrong-number", state=state)
    return WrongNumber()


async def refuse(db: AsyncConnection, scope: UserScope, scan_id: UUID) -> Problem | None:
    """Turn the console away, by whoever scanned it; a refusal of that is given back, so that it commits."""
    decided = await db.scalar(_decide(scope, scan_id).values(state="refused").returning(literal(1)))
    if decided is None:
        return await _refused(db, scope, "decision_refused", scan_id, await _why_undecidable(db, scope, scan_id))
    await _tell(db, scan_id, "refused")
    await _record_decision(db, scope, scan_id, "refused")
    return None


def _decide(scope: UserScope, scan_id: UUID) -> Update:
    return (
        update(DeviceAuthorization)
        .where(DeviceAuthorization.id == scan_id, DeviceAuthorization.state == "scanned")
        .where(DeviceAuthorization.scanned_session_id == scope.session_id)
        .where(DeviceAuthorization.expires_at > func.now())
    )


async def _why_undecidable(db: AsyncConnection, scope: UserScope, scan_id: UUID) -> Problem:
    row = await find_scan(db, scope, scan_id)
    if row is None:
        return NotFound()
    return CodeExpired() if row.state == "scanned" else ScanDecided()


_SCAN = select(*SCAN_COLUMNS).where(
    DeviceAuthorization.id == bindparam("scan_id"), DeviceAuthorization.scanned_session_id == bindparam("session_id")
)


async def find_scan(db: Readable, scope: UserScope, scan_id: UUID) -> ScanRow | None:
    """A scan by this very session; None for that of another."""
    return await fetch_row(db, _SCAN, ScanRow, {"scan_id": scan_id, "session_id": scope.session_id})


async def _record_decision(db: AsyncConnection, scope: UserScope, scan_id: UUID, decision: str, **after: str) -> None:
    await record(
        db,
        scope.actor,
        f"device_authorization.{decision}",
        subject=("device_authorization", scan_id),
        after=after or None,
    )


async def _refused(db: AsyncConnection, scope: UserScope, what: str, subject_id: UUID | None, why: Problem) -> Problem:
    subject = ("device_authorization", subject_id)
    await record(db, scope.actor, f"device_authorization.{what}", subject=subject, after={"reason": why.slug})
    return why


async def _tell(db: AsyncConnection, authorization_id: UUID, state: str, number: int | None = None) -> None:
    """Tell whoever waits, when this transaction commits."""
    payload = json.dumps({"id": str(authorization_id), "state": state, "number": number})
    await db.execute(select(func.pg_notify(CHANNEL, payload)))


# One statement polls and redeems: only the one that turns `approved` into `redeemed` sees it do so.
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
          new.interval_seconds > old.interval_seconds OR new.interval_seconds = 60 AS too_fast
""")


async def redeem_device_code(asked: TokenRequest) -> TokenOut | OAuthError:
    """Tokens for an approved scan, once; else what RFC 8628 §3.5 has for it, given back so that the poll counts."""
    given = {"device_code_hash": hash_secret(require(asked.form, "device_code")), "client_id": asked.client.id}
    row = (await asked.db.execute(_POLL, given)).one_or_none()
    if row is None or row.before == "redeemed":
        return invalid_grant("the device code is unknown or used")
    denied = OAuthError("access_denied", "refused on the phone")
    subject = ("device_authorization", row.id)
    if row.state == "redeemed":
        if not await _is_still_there(asked.db, row.user_id, row.scanned_session_id):
            refused = update(DeviceAuthorization).where(DeviceAuthorization.id == row.id).values(state="refused")
            await asked.db.execute(refused)
            await record(asked.db, asked.actor, "device_authorization.refused", subject=subject)
            return denied
        actor = replace(asked.actor, user_id=row.user_id)
        tokens = await start_session(
            asked.db, asked.issuer, actor, asked.client, row.user_id, methods=["mca"], device=asked.device
        )
        await record(asked.db, actor, "device_authorization.redeemed", subject=subject)
        return tokens
    if row.state == "refused":
        return denied
    if row.expired:
        return OAuthError("expired_token", "not approved in time; ask for a new code")
    extra = {"match_number": row.number} if row.state == "scanned" else {}
    said = f"scanned; the phone asks for the number {row.number}" if extra else "not scanned yet"
    if row.too_fast:
        return OAuthError("slow_down", f"{said}; wait five seconds more between polls", extra=extra)
    return OAuthError("authorization_pending", said, extra=extra)


async def _is_still_there(db: AsyncConnection, user_id: UUID, session_id: UUID) -> bool:
    """Whether who approved may still sign in, by a phone that is still signed in: an approval dies with either.

    Both are held until the new session stands, so that whoever suspends the user or signs them out comes before it, or
    finds it.
    """
    statement = (
        select(Session.id)
        .join(User, User.id == Session.user_id)
        .where(Session.id == session_id, Session.ended_at.is_(None), User.id == user_id, User.status == "active")
        .with_for_update(key_share=True, of=[User, Session])
    )
    return await db.scalar(statement) is not None
