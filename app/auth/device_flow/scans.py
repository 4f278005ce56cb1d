"""The phone's part of the device flow: scanning or typing a code, then approving or refusing the sign-in.

Only the user and the session (the phone) that scanned can decide. To approve, the person proves that they see the
screen: with the number that the console shows after the scan, or with the end of the user code of another client. A
person who has typed the whole user code has proved it.
"""

import json
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Update, bindparam, case, exists, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.auth.device_flow.authorizations import USER_CODE_END, get_user_code_end, normalize_user_code
from app.auth.device_flow.watch import SIGN_IN_CHANNEL
from app.auth.errors import AlreadyScanned, CodeExpired, NotOnThisClient, ScanDecided, WrongNumber
from app.auth.rate_limits import Limit, take_token
from app.authz.access import UserScope
from app.database.db import Readable
from app.database.rows import fetch_row
from app.schema.sign_in import DeviceAuthorization, OAuthClient
from app.web.errors import NotFound, Problem

MAX_WRONG_NUMBERS = 3
SCANNER_LIMIT = Limit("scan-user", burst=20, every=timedelta(seconds=30))


class ScanRow(NamedTuple):
    """The fields of a device authorization that the scanning phone reads."""

    id: UUID
    state: str
    device: str | None
    address: str | None
    created_at: datetime
    expires_at: datetime
    scopes: list[str] | None
    """What the client may do; None: everything."""
    client: str
    proof: str
    """What the person proves to see on the screen: `number`, `user-code-end`, or `none` after typing the user code."""


SCAN_COLUMNS = (
    DeviceAuthorization.id,
    DeviceAuthorization.state,
    DeviceAuthorization.device,
    DeviceAuthorization.address,
    DeviceAuthorization.created_at,
    DeviceAuthorization.expires_at,
    DeviceAuthorization.scopes,
    select(OAuthClient.name).where(OAuthClient.id == DeviceAuthorization.client_id).scalar_subquery().label("client"),
    case(
        (DeviceAuthorization.number.is_not(None), "number"), (DeviceAuthorization.typed, "none"), else_="user-code-end"
    ).label("proof"),
)


async def scan_code(db: AsyncConnection, scope: UserScope, code: str) -> ScanRow | Problem:
    """Bind a pending code, scanned or typed, to the user and the session. A second scan by the same session returns
    the same row.

    NotFound, CodeExpired and AlreadyScanned (by another session) are returned, not raised, so that a guess commits and
    counts. Raises NotOnThisClient if the session is not one of the phone app, and TooManyRequests.
    """
    await take_token(db, SCANNER_LIMIT, str(scope.user_id))
    app = select(exists().where(OAuthClient.id == scope.client_id, OAuthClient.kind == "app"))
    if not await db.scalar(app):
        raise NotOnThisClient
    typed = DeviceAuthorization.user_code == normalize_user_code(code)
    has_code = or_(typed, DeviceAuthorization.scan_code == code)
    claim = (
        update(DeviceAuthorization)
        .where(has_code, DeviceAuthorization.state == "pending", DeviceAuthorization.expires_at > func.now())
        .values(state="scanned", typed=typed, user_id=scope.user_id, scanned_session_id=scope.session_id)
        .returning(*SCAN_COLUMNS, DeviceAuthorization.client_id)
    )
    row = (await db.execute(claim)).one_or_none()
    if row is not None:
        await _notify_client(db, row.id, "scanned")
        after = {"client": row.client_id}
        subject = ("device_authorization", row.id)
        await record(db, scope.actor, "device_authorization.scanned", subject=subject, after=after)
        return ScanRow._make(row[:-1])
    again = select(
        *SCAN_COLUMNS,
        DeviceAuthorization.scanned_session_id,
        (DeviceAuthorization.expires_at <= func.now()).label("expired"),
    ).where(has_code)
    found = (await db.execute(again)).one_or_none()
    if found is None:
        return await _record_refusal(db, scope, "scan_refused", None, NotFound())
    if found.expired:
        return await _record_refusal(db, scope, "scan_refused", found.id, CodeExpired())
    if found.scanned_session_id != scope.session_id:
        return await _record_refusal(db, scope, "scan_refused", found.id, AlreadyScanned())
    return ScanRow._make(found[:-2])


async def approve_sign_in(
    db: AsyncConnection, scope: UserScope, scan_id: UUID, *, number: int = 0, user_code_end: str = ""
) -> Problem | None:
    """Approve the sign-in with the proof that the scan requires (`ScanRow.proof`). Only the session that scanned the
    code can approve. Return None on success.

    Wrong proofs are counted, and the third one refuses the sign-in. A problem is returned, not raised, so that the
    transaction commits the count.
    """
    right = case(
        (DeviceAuthorization.number.is_not(None), DeviceAuthorization.number == number),
        (DeviceAuthorization.typed, literal(True)),
        else_=func.right(DeviceAuthorization.user_code, USER_CODE_END) == get_user_code_end(user_code_end),
    )
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
        await _notify_client(db, scan_id, state)
    if state == "approved":
        await _record_decision(db, scope, scan_id, "approved")
        return None
    await _record_decision(db, scope, scan_id, "refused", reason="wrong-number", state=state)
    return WrongNumber()


async def refuse_sign_in(db: AsyncConnection, scope: UserScope, scan_id: UUID) -> Problem | None:
    """Refuse the client's sign-in. Only the session that scanned the code can refuse. Return None on success. A problem
    is returned, not raised, so that the transaction commits its audit entry."""
    decided = await db.scalar(_build_decision_update(scope, scan_id).values(state="refused").returning(literal(1)))
    if decided is None:
        by_person = DeviceAuthorization.wrong_numbers < MAX_WRONG_NUMBERS
        return await _check_repeated(db, scope, scan_id, by_person, "refused")
    await _notify_client(db, scan_id, "refused")
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
    """Check a decision that changed no row: it is either a repetition of the same decision, or refused.

    Return None for a repetition: the scan is in one of `states`, and `condition` is true for it. Otherwise record the
    refusal in the audit log and return the problem.
    """
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
    """Return the scan with this id if the caller's session made it, otherwise None."""
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


async def _notify_client(db: AsyncConnection, authorization_id: UUID, state: str) -> None:
    """Notify the waiting client when this transaction commits."""
    payload = json.dumps({"id": str(authorization_id), "state": state})
    await db.execute(select(func.pg_notify(SIGN_IN_CHANNEL, payload)))
