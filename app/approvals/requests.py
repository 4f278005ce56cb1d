"""Open, read and end requests of any kind.

A request ends exactly once: `finish_request` changes only a request that is pending and not overdue, so the second of
two concurrent decisions changes nothing. It succeeds if it is the same `Decision` of the same side, and is refused
otherwise. The feature itself takes the locks of the orgs, checks the rule and writes the audit entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, any_, column, func, insert, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import KINDS, PENDING, Column, Kind
from app.audit_log.entries import Actor, record
from app.database.db import on_constraint
from app.database.row_types import build_row_maker
from app.database.rows import one_or_404
from app.schema.approvals import CertificationState, State
from app.schema.messages import Message
from app.web.errors import Problem

R = TypeVar("R", bound=NamedTuple)


async def create_request(db: AsyncConnection, kind: Kind, already_open: type[Problem], /, **values: Any) -> UUID:
    """Insert a pending request with these columns. Return its id.

    An overdue request with the same unique columns is expired first. Raises `already_open` if another one is pending.
    """
    await _expire_overdue(db, kind, *(column == values[column.key] for column in kind.unique_columns))
    if kind.lifetime is not None:
        values["expires_at"] = func.now() + kind.lifetime
    with on_constraint((f"{kind.table.__tablename__}_one_open_key", already_open)):
        opened = await db.execute(insert(kind.table).values(state=PENDING, **values).returning(kind.table.id))
    return opened.scalar_one()


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The decision of one side on one request. The same side may repeat it: a repeated decision changes nothing, and
    the operation returns what it returned the first time."""

    kind: Kind
    state: State | CertificationState
    """The state in which the request ends by this decision."""
    conditions: Sequence[ColumnElement[bool]]
    """The SQL conditions that select the request among the requests that this side decides."""
    decided: type[Problem]
    """The error if the request has ended in another way."""
    expired: type[Problem] | None = None
    """The error if the request is overdue; None: `decided`."""
    repeated: ColumnElement[bool] = field(default_factory=true)
    """The SQL condition, besides the state, under which a request has ended by this decision: the same side has decided
    it, with the same values."""


async def get_request_to_decide(
    db: AsyncConnection, decision: Decision, columns: Sequence[Column], row: type[R]
) -> tuple[R, bool]:
    """Return these columns of the request, as a `row`, and whether the decision is repeated. The caller has locked the
    request's orgs.

    `decide_request` locks the request's row as the last lock of the decision (`docs/LOCKING.md`), and checks the state
    again. Raises NotFound, `expired`, `decided`.
    """
    statement = select(decision.kind.state, decision.repeated.label("is_repeated"), *columns)
    state, is_repeated, *values = await one_or_404(db, statement.where(*decision.conditions))
    if state != State.PENDING:
        _require_repeated(decision, state, is_repeated)
    return build_row_maker(row, [column.key for column in columns])(values), state != State.PENDING


async def decide_request(db: AsyncConnection, decision: Decision, by: UUID, **values: Any) -> bool:
    """End the request by this decision, as `finish_request` does. Return True, or False if the decision is repeated.

    Raises NotFound, `expired`, `decided`.
    """
    if await finish_request(db, decision.kind, decision.state, *decision.conditions, by=by, **values):
        return True
    await require_repeated(db, decision)
    return False


async def require_repeated(db: AsyncConnection, decision: Decision) -> None:
    """Require that a request that cannot be decided has ended by this decision. Raises NotFound, `expired`,
    `decided`."""
    ended = select(decision.kind.state, decision.repeated.label("is_repeated")).where(*decision.conditions)
    state, is_repeated = await one_or_404(db, ended)
    _require_repeated(decision, state, is_repeated)


def _require_repeated(decision: Decision, state: str, is_repeated: bool | None) -> None:
    if state == decision.state and is_repeated:
        return
    raise (decision.expired or decision.decided) if state == State.EXPIRED else decision.decided


async def finish_request(
    db: AsyncConnection,
    kind: Kind,
    state: State | CertificationState,
    *conditions: ColumnElement[bool],
    by: UUID | None,
    **values: Any,
) -> bool:
    """End the request that these conditions select, and set its erased columns to null. Return whether the request was
    ended.

    `by` is the user who decides, withdraws or supersedes the request (None: the service). The requester gets a message
    unless the requester is `by`. `values` are further columns to set. The result is False if the request is not
    pending or is overdue. The caller writes the audit entry.
    """
    return len(await end_requests(db, kind, state, *conditions, by=by, **values)) > 0


async def withdraw_request(
    db: AsyncConnection,
    kind: Kind,
    *conditions: ColumnElement[bool],
    by: UUID,
    decided: type[Problem],
    expired: type[Problem],
) -> None:
    """Withdraw the request that these conditions select, as `finish_request` does. The caller writes the audit entry.

    Raises NotFound, `expired` if the request is overdue, `decided` if it has ended in another way.
    """
    if not await finish_request(db, kind, State.WITHDRAWN, *conditions, by=by):
        await raise_already_ended(db, kind, *conditions, decided=decided, expired=expired)


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


@dataclass(frozen=True, slots=True)
class EndedRequest:
    """A request that has ended. `orgs` are the orgs that request or decide, by column."""

    kind: Kind
    id: UUID
    orgs: dict[str, UUID]


async def finish_requests(
    db: AsyncConnection,
    kind: Kind,
    state: State,
    *conditions: ColumnElement[bool],
    actor: Actor,
    of_org: UUID | None,
    **values: Any,
) -> int:
    """End every pending request that these conditions select, as `finish_request` does, and write the audit entries.
    Overdue requests expire. Return the number of requests that have ended in this state.

    `of_org` is the org for which the actor acts; entries of other orgs do not name the actor.
    """
    await _expire_overdue(db, kind, *conditions)
    ended = await end_requests(db, kind, state, *conditions, by=actor.user_id, **values)
    await _record_ended(db, state, ended, actor, of_org)
    return len(ended)


async def withdraw_requests_of_org(db: AsyncConnection, org_id: UUID, actor: Actor) -> None:
    """Withdraw all pending requests that the org has made. The actor is closing the org."""
    for kind in KINDS:
        if kind.requesting_org is not None:
            is_own = kind.requesting_org == org_id
            await finish_requests(db, kind, State.WITHDRAWN, is_own, actor=actor, of_org=org_id)


async def decline_requests_to_org(db: AsyncConnection, org_id: UUID, user_id: UUID, reason: str) -> list[EndedRequest]:
    """Decline all requests that wait for a decision of the org. The user is closing the org. Return these requests, for
    their audit entries. Overdue requests expire instead."""
    declined: list[EndedRequest] = []
    for kind in KINDS:
        if not kind.deciding_orgs:
            continue
        is_received = or_(*(column == org_id for column in kind.deciding_orgs))
        await _expire_overdue(db, kind, is_received)
        declined += await end_requests(db, kind, State.DECLINED, is_received, by=user_id, reason=reason)
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
    """Expire the overdue requests among those that these conditions select, with their audit entries. Return their
    number."""
    if kind.lifetime is None:
        return 0
    is_overdue = kind.expires_at <= func.now()
    ended = await end_requests(db, kind, State.EXPIRED, *conditions, is_overdue, by=None, decided_at=kind.expires_at)
    await _record_ended(db, State.EXPIRED, ended, Actor(), None)
    return len(ended)


async def end_requests(
    db: AsyncConnection,
    kind: Kind,
    state: State | CertificationState,
    *conditions: ColumnElement[bool],
    by: UUID | None,
    **values: Any,
) -> list[EndedRequest]:
    """Give the pending requests that these conditions select the final state `state`, and add a message for each
    requester, in one statement. Return the requests.

    The parameters are those of `finish_request`. The caller writes the audit entries.
    """
    columns: dict[str, Any] = {column.key: None for column in kind.erased}
    columns["decided_at"] = func.clock_timestamp()
    if state not in {State.SUPERSEDED, State.EXPIRED} and "decided_by" in kind.table.__table__.columns:
        columns["decided_by"] = by
    columns |= {**values, "state": state.value}
    can_end = kind.pending if state is State.EXPIRED else kind.waiting
    ended = (
        update(kind.table)
        .where(*conditions, can_end)
        .values(columns)
        .returning(
            kind.table.id.label("id"),
            kind.requester.label("requester"),
            kind.named_org.label("named_org"),
            *(org.label(f"org_{number}") for number, org in enumerate(kind.orgs)),
        )
        .cte("ended")
    )
    outcome = State.ACCEPTED if state is CertificationState.LIVE else state
    reason = values.get("reason") or values.get("refusal")
    message = select(
        ended.c.requester,
        literal(f"request-{outcome}"),
        ended.c.named_org,
        literal(kind.name),
        ended.c.id,
        literal({"reason": reason} if reason else {}, JSONB),
    ).where(ended.c.requester.is_distinct_from(by))
    added = insert(Message).from_select(_MESSAGE_COLUMNS, message).cte("added")
    orgs = [ended.c[f"org_{number}"] for number in range(len(kind.orgs))]
    rows = (await db.execute(select(ended.c.id, *orgs).add_cte(added))).all()
    keys = [column.key for column in kind.orgs]
    return [EndedRequest(kind, row[0], dict(zip(keys, row[1:], strict=True))) for row in rows]


_MESSAGE_COLUMNS = ["user_id", "kind", "org_id", "subject_type", "subject_id", "parameters"]


async def _record_ended(
    db: AsyncConnection, state: State, ended: Sequence[EndedRequest], actor: Actor, of_org: UUID | None
) -> None:
    """Write the audit entries of requests that ended without a decision of their own: one for each org."""
    for request in ended:
        action, subject = f"{request.kind.noun}.{state}", (request.kind.subject, request.id)
        if request.kind.secret:
            await record(db, actor, action, subject=subject)
            continue
        after = {column: str(org_id) for column, org_id in request.orgs.items()}
        for org_id in dict.fromkeys(request.orgs.values()):
            acting = actor if org_id == of_org else actor.get_actor_for_other_org()
            await record(db, acting, action, org_id=org_id, subject=subject, after=after)
