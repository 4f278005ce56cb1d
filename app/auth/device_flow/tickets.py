"""Tickets: a console reads the state of its device authorization without sending its secret again."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, case, cast, extract, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.auth.device_flow.authorizations import normalize_user_code
from app.core.cipher import create_secret, hash_secret
from app.database.db import Readable
from app.database.rows import fetch_row, one_or_404
from app.schema.auth import User
from app.schema.sign_in import DeviceAuthorization

STATE_COLUMNS = (
    DeviceAuthorization.id,
    case(
        (DeviceAuthorization.state.in_(("refused", "redeemed")), DeviceAuthorization.state),
        (DeviceAuthorization.expires_at <= func.now(), "expired"),
        else_=DeviceAuthorization.state,
    ).label("state"),
    DeviceAuthorization.expires_at,
)


class AuthorizationStateRow(NamedTuple):
    """The state of a device authorization."""

    id: UUID
    state: str
    expires_at: datetime


class WaitingConsoleRow(NamedTuple):
    """The state of a device authorization with its code, the verified name of the user who scanned it, and the number
    to match, which only a scanned code of the console has."""

    id: UUID
    state: str
    expires_at: datetime
    user_code: str
    scanner: str | None
    match_number: int | None


@dataclass(frozen=True, slots=True)
class OpenedTicket:
    """A new ticket. `expires_in` is seconds."""

    ticket: str
    user_code: str
    expires_in: int


_LIVE_CODE = select(DeviceAuthorization.scan_code).where(
    DeviceAuthorization.user_code == bindparam("user_code"), DeviceAuthorization.expires_at > func.now()
)
_SCANNER = select(User.verified_name).where(User.id == DeviceAuthorization.user_id).scalar_subquery()
_SELECT_BY_DEVICE_CODE = select(
    *STATE_COLUMNS,
    DeviceAuthorization.user_code,
    _SCANNER.label("scanner"),
    case((DeviceAuthorization.state == "scanned", DeviceAuthorization.number)).label("match_number"),
).where(DeviceAuthorization.device_code_hash == bindparam("device_code_hash"))
_SELECT_BY_TICKET = select(*STATE_COLUMNS).where(
    DeviceAuthorization.user_code == bindparam("user_code"), DeviceAuthorization.ticket_hash == bindparam("ticket_hash")
)


async def find_scan_code(db: Readable, user_code: str) -> str | None:
    """Return the code that the QR code contains, for the authorization with this user code; None if the authorization
    has expired."""
    found: str | None = await db.scalar(_LIVE_CODE, {"user_code": normalize_user_code(user_code)})
    return found


async def open_ticket(db: AsyncConnection, user_code: str, device_code: str) -> OpenedTicket:
    """Create a ticket for the authorization with this user code and return it. `device_code` is the secret that proves
    that the console started the authorization. The ticket replaces an earlier one. Raises NotFound."""
    ticket = create_secret()
    left = cast(extract("epoch", DeviceAuthorization.expires_at - func.now()), Integer)
    statement = (
        update(DeviceAuthorization)
        .where(DeviceAuthorization.user_code == normalize_user_code(user_code))
        .where(DeviceAuthorization.device_code_hash == hash_secret(device_code))
        .where(DeviceAuthorization.expires_at > func.now())
        .values(ticket_hash=hash_secret(ticket))
        .returning(DeviceAuthorization.user_code, left.label("expires_in"))
    )
    row = await one_or_404(db, statement)
    return OpenedTicket(ticket, row.user_code, row.expires_in)


async def find_state_by_device_code(db: Readable, device_code: str) -> WaitingConsoleRow | None:
    """Return the state of the device authorization with this device code, or None if there is none."""
    return await fetch_row(
        db, _SELECT_BY_DEVICE_CODE, WaitingConsoleRow, {"device_code_hash": hash_secret(device_code)}
    )


async def find_by_ticket(db: Readable, user_code: str, ticket: str | None) -> AuthorizationStateRow:
    """Return the state of the authorization with this code and ticket. Raises NotFound."""
    which = {"user_code": normalize_user_code(user_code), "ticket_hash": hash_secret(ticket or "")}
    return await one_or_404(db, _SELECT_BY_TICKET, AuthorizationStateRow, which)
