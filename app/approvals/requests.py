"""Opening, reading and ending requests of any kind.

A request ends once: `finish` changes only what is pending and not overdue, so that of two decisions at once the second
finds nothing to change. What else a decision needs is the feature's: the locks of orgs, the rule, the audit entry.
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
    """Insert a pending request with these columns. Returns its id.

    An overdue one in its place is expired first. Raises `already_open` where another is pending.
    """
    await _expire(db, kind, *(column == values[column.key] for column in kind.one_of))
    if kind.lifetime is not None:
        values["expires_at"] = func.now() + kind.lifetime
    with on_constraint((f"{kind.table.__tablename__}_one_open_key", already_open)):
        opened = await db.execute(insert(kind.table).values(state=PENDING, **values).returning(kind.table.id))
    return opened.scalar_one()


async def read_waiting(
    db: AsyncConnection,
    kind: Kind,
    *which: ColumnElement[bool],
    columns: Sequence[Column],
    row: type[R],
    decided: type[Problem],
    expired: type[Problem],
) -> R:
    """These columns of a request that can be decided, as a `row`. For a decision that has locked the request's orgs.

    The row itself is locked by `finish`, as the last lock of the decision (`docs/LOCKING.md`), which looks at the state
    again. Raises NotFound, `expired` where the request's time is over, `decided` where it has ended otherwise.
    """
    state, *values = await one_or_404(db, select(kind.state, *columns).where(*which))
    if state == State.EXPIRED:
        raise expired
    if state != State.PENDING:
        raise decided
    return row_maker(row, [column.key for column in columns])(values)


async def finish(
    db: AsyncConnection, kind: Kind, state: State | CertificationState, *which: ColumnElement[bool], **values: Any
) -> bool:
    """End the request that these conditions name, and erase what is stored only while it is pending.

    `values` are further columns of its table. Returns False where it is not pending any more, or its time is over.
    """
    return len((await db.scalars(_ending(kind, state, *which, **values).returning(kind.table.id))).all()) > 0


async def raise_why_not(
    db: AsyncConnection,
    kind: Kind,
    *which: ColumnElement[bool],
    decided: type[Problem],
    expired: type[Problem],
) -> NoReturn:
    """Say why `finish` did not end the request that these conditions name.

    Raises NotFound, `expired` where the request's time is over, `decided` where it has ended otherwise.
    """
    state = (await one_or_404(db, select(kind.state).where(*which)))[0]
    raise expired if state == State.EXPIRED else decided


async def finish_all(db: AsyncConnection, kind: Kind, state: State, *which: ColumnElement[bool], **values: Any) -> None:
    """End every pending request that these conditions name, as `finish` does; those that are overdue expire."""
    await _expire(db, kind, *which)
    await db.execute(_ending(kind, state, *which, **values))


@dataclass(frozen=True, slots=True)
class Declined:
    """A request that was declined with its org's closing: the orgs that it names, by column."""

    kind: Kind
    id: UUID
    orgs: dict[str, UUID]


async def withdraw_requests_of(db: AsyncConnection, org_id: UUID, user_id: UUID) -> None:
    """Withdraw whatever the org has requested: it is being closed by this user."""
    for kind in KINDS:
        if kind.requesting_org is not None:
            await finish_all(db, kind, State.WITHDRAWN, kind.requesting_org == org_id, **_decided_by(kind, user_id))


async def decline_requests_to(db: AsyncConnection, org_id: UUID, user_id: UUID, reason: str) -> list[Declined]:
    """Decline whatever waits for the org to decide, with a reason: it is being closed by this user. Returns these
    requests, for their audit entries. Those that are overdue expire."""
    declined: list[Declined] = []
    for kind in KINDS:
        if not kind.deciding_orgs:
            continue
        named = [*([] if kind.requesting_org is None else [kind.requesting_org]), *kind.deciding_orgs]
        received = or_(*(column == org_id for column in kind.deciding_orgs))
        await _expire(db, kind, received)
        ended = _ending(kind, State.DECLINED, received, reason=reason, **_decided_by(kind, user_id))
        for request_id, *orgs in (await db.execute(ended.returning(kind.table.id, *named))).all():
            by_column = {column.key: org for column, org in zip(named, orgs, strict=True)}
            declined.append(Declined(kind, request_id, by_column))
    return declined


async def expire_overdue(db: AsyncConnection, limit: int) -> int:
    """Expire at most `limit` requests whose time is over, and erase what is stored only while they are pending. Returns
    how many. A request that a decision has locked is left to it."""
    left = limit
    ctid: ColumnElement[str] = column("ctid")  # where a row is stored; it does not change while the row is locked
    for kind in KINDS:
        if kind.lifetime is None or left == 0:
            continue
        overdue = (kind.pending, kind.expires_at <= func.now())
        batch = select(ctid).select_from(kind.table).where(*overdue).limit(left).with_for_update(skip_locked=True)
        left -= await _expire(db, kind, ctid == any_(func.array(batch.scalar_subquery())))
    return limit - left


async def _expire(db: AsyncConnection, kind: Kind, *which: ColumnElement[bool]) -> int:
    """Expire those of these requests that are overdue. Returns how many."""
    if kind.lifetime is None:
        return 0
    overdue = kind.expires_at <= func.now()
    return (await db.execute(_ending(kind, State.EXPIRED, *which, overdue, decided_at=kind.expires_at))).rowcount


def _ending(kind: Kind, state: State | CertificationState, *which: ColumnElement[bool], **values: Any) -> Update:
    erased = {column.key: None for column in kind.erased}
    ended = {**erased, "decided_at": func.clock_timestamp(), **values, "state": state.value}
    open_ = kind.pending if state is State.EXPIRED else kind.waiting
    return update(kind.table).where(*which, open_).values(ended)


def _decided_by(kind: Kind, user_id: UUID) -> dict[str, UUID]:
    return {"decided_by": user_id} if "decided_by" in kind.table.__table__.columns else {}
