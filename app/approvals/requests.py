"""Open, read and end requests of any kind.

A request ends exactly once: `finish_request` changes only a request that is pending and not overdue, so the second of
two concurrent decisions changes nothing. The feature itself takes the locks of the orgs, checks the rule and writes the
audit entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Update, any_, column, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import KINDS, PENDING, Column, Kind
from app.database.db import on_constraint
from app.database.row_types import row_maker
from app.database.rows import one_or_404
from app.schema.approvals import CertificationState, State
from app.web.errors import Problem

R = TypeVar("R", bound=NamedTuple)


async def open_request(db: AsyncConnection, kind: Kind, already_open: type[Problem], /, **values: Any) -> UUID:
    """Insert a pending request with these columns. Return its id.

    An overdue request with the same unique columns is expired first. Raises `already_open` if another one is pending.
    """
    await _expire_overdue(db, kind, *(column == values[column.key] for column in kind.unique_columns))
    if kind.lifetime is not None:
        values["expires_at"] = func.now() + kind.lifetime
    with on_constraint((f"{kind.table.__tablename__}_one_open_key", already_open)):
        opened = await db.execute(insert(kind.table).values(state=PENDING, **values).returning(kind.table.id))
    return opened.scalar_one()


async def get_waiting_request(
    db: AsyncConnection,
    kind: Kind,
    *conditions: ColumnElement[bool],
    columns: Sequence[Column],
    row: type[R],
    decided: type[Problem],
    expired: type[Problem],
) -> R:
    """Return these columns of the request that can be decided, as a `row`. The caller has locked the request's orgs.

    `finish_request` locks the request's row as the last lock of the decision (`docs/LOCKING.md`), and checks the state
    again. Raises NotFound, `expired` if the request is overdue, `decided` if it has ended in another way.
    """
    state, *values = await one_or_404(db, select(kind.state, *columns).where(*conditions))
    if state == State.EXPIRED:
        raise expired
    if state != State.PENDING:
        raise decided
    return row_maker(row, [column.key for column in columns])(values)


async def finish_request(
    db: AsyncConnection, kind: Kind, state: State | CertificationState, *conditions: ColumnElement[bool], **values: Any
) -> bool:
    """End the request that these conditions select, and set its erased columns to null. Return whether it is ended.

    `values` are further columns to set. The result is False if the request is not pending or is overdue.
    """
    statement = _build_end(kind, state, *conditions, **values).returning(kind.table.id)
    return len((await db.scalars(statement)).all()) > 0


async def raise_already_ended(
    db: AsyncConnection,
    kind: Kind,
    *conditions: ColumnElement[bool],
    decided: type[Problem],
    expired: type[Problem],
) -> NoReturn:
    """Raise the reason for which `finish_request` did not end the request that these conditions select.

    Raises NotFound, `expired` if the request is overdue, `decided` if it has ended in another way.
    """
    state = (await one_or_404(db, select(kind.state).where(*conditions)))[0]
    raise expired if state == State.EXPIRED else decided


async def finish_requests(
    db: AsyncConnection, kind: Kind, state: State, *conditions: ColumnElement[bool], **values: Any
) -> None:
    """End every pending request that these conditions select, as `finish_request` does. Overdue requests expire."""
    await _expire_overdue(db, kind, *conditions)
    await db.execute(_build_end(kind, state, *conditions, **values))


@dataclass(frozen=True, slots=True)
class DeclinedRequest:
    """A request that was declined because its deciding org was closed. `orgs` are the orgs that it names, by column."""

    kind: Kind
    id: UUID
    orgs: dict[str, UUID]


async def withdraw_requests_of_org(db: AsyncConnection, org_id: UUID, user_id: UUID) -> None:
    """Withdraw all pending requests that the org has made. The user is closing the org."""
    for kind in KINDS:
        if kind.requesting_org is not None:
            await finish_requests(
                db, kind, State.WITHDRAWN, kind.requesting_org == org_id, **_decided_by(kind, user_id)
            )


async def decline_requests_to_org(
    db: AsyncConnection, org_id: UUID, user_id: UUID, reason: str
) -> list[DeclinedRequest]:
    """Decline all requests that wait for a decision of the org. The user is closing the org. Return these requests, for
    their audit entries. Overdue requests expire instead."""
    declined: list[DeclinedRequest] = []
    for kind in KINDS:
        if not kind.deciding_orgs:
            continue
        org_columns = [*([] if kind.requesting_org is None else [kind.requesting_org]), *kind.deciding_orgs]
        is_received = or_(*(column == org_id for column in kind.deciding_orgs))
        await _expire_overdue(db, kind, is_received)
        statement = _build_end(kind, State.DECLINED, is_received, reason=reason, **_decided_by(kind, user_id))
        for request_id, *orgs in (await db.execute(statement.returning(kind.table.id, *org_columns))).all():
            by_column = {column.key: org for column, org in zip(org_columns, orgs, strict=True)}
            declined.append(DeclinedRequest(kind, request_id, by_column))
    return declined


async def expire_overdue(db: AsyncConnection, limit: int) -> int:
    """Expire at most `limit` overdue requests, and set their erased columns to null. Return the number of requests.

    It skips a request that a concurrent decision has locked.
    """
    remaining = limit
    ctid: ColumnElement[str] = column("ctid")  # the row's physical address; it is constant while the row is locked
    for kind in KINDS:
        if kind.lifetime is None or remaining == 0:
            continue
        overdue = (kind.pending, kind.expires_at <= func.now())
        batch = select(ctid).select_from(kind.table).where(*overdue).limit(remaining).with_for_update(skip_locked=True)
        remaining -= await _expire_overdue(db, kind, ctid == any_(func.array(batch.scalar_subquery())))
    return limit - remaining


async def _expire_overdue(db: AsyncConnection, kind: Kind, *conditions: ColumnElement[bool]) -> int:
    """Expire the overdue requests among those that these conditions select. Return their number."""
    if kind.lifetime is None:
        return 0
    is_overdue = kind.expires_at <= func.now()
    statement = _build_end(kind, State.EXPIRED, *conditions, is_overdue, decided_at=kind.expires_at)
    return (await db.execute(statement)).rowcount


def _build_end(
    kind: Kind, state: State | CertificationState, *conditions: ColumnElement[bool], **values: Any
) -> Update:
    """Build the UPDATE that ends requests in this state."""
    erased = {column.key: None for column in kind.erased}
    columns = {**erased, "decided_at": func.clock_timestamp(), **values, "state": state.value}
    can_end = kind.pending if state is State.EXPIRED else kind.waiting
    return update(kind.table).where(*conditions, can_end).values(columns)


def _decided_by(kind: Kind, user_id: UUID) -> dict[str, UUID]:
    return {"decided_by": user_id} if "decided_by" in kind.table.__table__.columns else {}
