"""Reads of change requests, and of the recoveries that the platform operator decides."""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import aliased

from app.admins.schemas import ChangeRequestOut, NamedAdminOut
from app.approvals.kinds import CHANGE_REQUEST
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.schema.admins import ChangeRequest
from app.schema.approvals import CertificationState, State
from app.schema.auth import User
from app.schema.certification import Certification
from app.schema.orgs import Org

_Requester = aliased(User, name="requester")
_Before = aliased(User, name="main_before")
_After = aliased(User, name="main_after")
_ORG_ID = bindparam("org_id", type_=Uuid())


class _Change(NamedTuple):
    id: UUID
    org_id: UUID
    org_name: str
    kind: Literal["rename", "hand-over", "recovery"]
    state: str
    name_before: str | None
    name_after: str | None
    before_id: UUID | None
    before_name: str | None
    after_id: UUID | None
    after_name: str | None
    requester_name: str | None
    reason: str | None
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    refusal: str | None


_CHANGES = (
    select(
        ChangeRequest.id,
        ChangeRequest.org_id,
        Org.name.label("org_name"),
        ChangeRequest.kind,
        CHANGE_REQUEST.state,
        ChangeRequest.name_before,
        ChangeRequest.name_after,
        ChangeRequest.main_admin_before.label("before_id"),
        _Before.verified_name.label("before_name"),
        ChangeRequest.main_admin_after.label("after_id"),
        _After.verified_name.label("after_name"),
        _Requester.verified_name.label("requester_name"),
        ChangeRequest.reason,
        ChangeRequest.requested_at,
        ChangeRequest.expires_at,
        ChangeRequest.decided_at,
        ChangeRequest.refusal,
    )
    .join(Org, Org.id == ChangeRequest.org_id)
    .join(_Requester, _Requester.id == ChangeRequest.requested_by)
    .outerjoin(_Before, _Before.id == ChangeRequest.main_admin_before)
    .outerjoin(_After, _After.id == ChangeRequest.main_admin_after)
)
_CHANGES_OF_ORG = PagedStatement(_CHANGES.where(ChangeRequest.org_id == _ORG_ID), ChangeRequest.id.desc(), row=_Change)
_IS_EDGE_TO_SUPERIOR = and_(
    Certification.subordinate_id == ChangeRequest.org_id, Certification.state == CertificationState.LIVE
)
_RECEIVED_CHANGES = PagedStatement(
    _CHANGES.join(Certification, and_(_IS_EDGE_TO_SUPERIOR, Certification.superior_id == _ORG_ID)).where(
        CHANGE_REQUEST.waiting
    ),
    ChangeRequest.id.desc(),
    row=_Change,
)
_IS_ORPHAN_RECOVERY = and_(
    ChangeRequest.kind == "recovery",
    CHANGE_REQUEST.waiting,
    ~exists().where(_IS_EDGE_TO_SUPERIOR).correlate(ChangeRequest),
)
_ORPHAN_RECOVERIES = PagedStatement(_CHANGES.where(_IS_ORPHAN_RECOVERY), ChangeRequest.id, row=_Change)
_ORPHAN_RECOVERY = _CHANGES.where(_IS_ORPHAN_RECOVERY, ChangeRequest.id == bindparam("request_id"))
_ORPHAN_RECOVERY_COUNT = select(func.count()).select_from(ChangeRequest).where(_IS_ORPHAN_RECOVERY)
_SUPERIOR = select(Certification.superior_id).where(_IS_EDGE_TO_SUPERIOR).correlate(ChangeRequest).scalar_subquery()
_CHANGE = _CHANGES.where(
    ChangeRequest.id == bindparam("request_id"), or_(ChangeRequest.org_id == _ORG_ID, _SUPERIOR == _ORG_ID)
)


def _change_request_out(row: _Change) -> ChangeRequestOut:
    return ChangeRequestOut(
        id=row.id,
        org_id=row.org_id,
        org_name=row.org_name,
        kind=row.kind,
        state=State(row.state),
        name_before=row.name_before,
        name_after=row.name_after,
        main_admin_before=None if row.before_id is None else _build_named_admin(row.before_name),
        main_admin_after=None if row.after_id is None else _build_named_admin(row.after_name),
        requested_by=_build_named_admin(row.requester_name),
        reason=row.reason,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        refusal=row.refusal,
    )


def _build_named_admin(name: str | None) -> NamedAdminOut:
    return NamedAdminOut(name=name, verified=name is not None)


async def list_change_requests(db: Readable, org_id: UUID, paging: Paging) -> Page[ChangeRequestOut]:
    """Return the requests that the org has made, the newest first."""
    found = await _CHANGES_OF_ORG.fetch(db, paging, org_id=org_id)
    return Page[ChangeRequestOut].from_slice(found.map(_change_request_out))


async def list_received_change_requests(db: Readable, org_id: UUID, paging: Paging) -> Page[ChangeRequestOut]:
    """Return the change requests of the org's direct subordinates that wait for a decision, the newest first."""
    found = await _RECEIVED_CHANGES.fetch(db, paging, org_id=org_id)
    return Page[ChangeRequestOut].from_slice(found.map(_change_request_out))


async def list_orphan_recoveries(db: Readable, paging: Paging) -> Page[ChangeRequestOut]:
    """Return the waiting recoveries of orgs without a superior, the oldest first. The operator decides them."""
    found = await _ORPHAN_RECOVERIES.fetch(db, paging)
    return Page[ChangeRequestOut].from_slice(found.map(_change_request_out))


async def get_change_request(db: Readable, org_id: UUID, request_id: UUID) -> ChangeRequestOut:
    """Return one request of the org or of one of its direct subordinates. Raises NotFound."""
    return _change_request_out(await one_or_404(db, _CHANGE, _Change, {"org_id": org_id, "request_id": request_id}))


async def get_orphan_recovery(db: Readable, request_id: UUID) -> ChangeRequestOut:
    """Return one waiting recovery of an org without a superior. Raises NotFound."""
    return _change_request_out(await one_or_404(db, _ORPHAN_RECOVERY, _Change, {"request_id": request_id}))


async def count_orphan_recoveries(db: Readable) -> int:
    """Return the number of waiting recoveries of orgs without a superior."""
    return (await db.execute(_ORPHAN_RECOVERY_COUNT)).scalar_one()
