"""Reads of closings."""

from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, case, null, select

from app.approvals.kinds import CLOSURE
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.org_lifecycle.closing_reversal import REOPENING_WINDOW
from app.org_lifecycle.schemas import ClosureOut
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.orgs import Closure, Org

_IS_CLOSED = and_(Closure.state == State.ACCEPTED, Closure.reopened_at.is_(None))
_CLOSINGS = (
    select(
        Closure.id,
        Closure.org_id,
        Org.name.label("org_name"),
        CLOSURE.state,
        User.verified_name.label("requested_by"),
        Closure.requested_at,
        case((CLOSURE.waiting, Closure.expires_at), else_=null()).label("expires_at"),
        Closure.decided_at,
        case((_IS_CLOSED, Closure.decided_at + REOPENING_WINDOW), else_=null()).label("can_be_undone_until"),
        Closure.reopened_at,
    )
    .join(Org, Org.id == Closure.org_id)
    .join(User, User.id == Closure.requested_by)
    .where(Closure.org_id == bindparam("org_id", type_=Uuid()))
)
_NEWEST_FIRST = PagedStatement(_CLOSINGS, Closure.id.desc(), row=ClosureOut)


async def list_closings(db: Readable, org_id: UUID, paging: Paging) -> Page[ClosureOut]:
    """Return the closings of the org, the newest first."""
    return Page[ClosureOut].from_slice(await _NEWEST_FIRST.fetch(db, paging, org_id=org_id))


async def find_newest_closing(db: Readable, org_id: UUID) -> ClosureOut | None:
    """Return the newest closing of the org, in any state, or None if no admin has requested one."""
    newest = await _NEWEST_FIRST.fetch(db, Paging(1, None), org_id=org_id)
    return newest.rows[0] if newest.rows else None
