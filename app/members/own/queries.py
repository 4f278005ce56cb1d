"""Reads of a user's own rows in the directories of orgs."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.approvals.kinds import REMOVAL_REQUEST
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.hierarchy import tree
from app.members.own.schemas import BlockedOrgOut, MembershipOut
from app.orgs.regions import format_region_path
from app.schema.admins import OrgAdmin
from app.schema.members import Activation, Member, UnitMembership
from app.schema.orgs import Org
from app.schema.own_rows import OrgBlock, RemovalRequest


class _MembershipRow(NamedTuple):
    """A row that is linked to the user; `units` are objects with `id`, `name` and `path`."""

    org_id: UUID
    org_name: str
    org_kind: str
    region_code: str
    name: str
    party: bool
    probationary: bool
    post: str | None
    units: list[dict[str, Any]]
    at_org: bool
    admin: bool
    removal_request_id: UUID | None
    active_since: datetime


_USER_ID = bindparam("user_id", type_=Uuid())
_UNIT_OF_ROW = and_(
    UnitMembership.org_id == Member.org_id, UnitMembership.member_id == Member.id, UnitMembership.until.is_(None)
)
_CHAINS = tree.unit_chains(
    select(UnitMembership.org_id, UnitMembership.unit_id)
    .join(Member, _UNIT_OF_ROW)
    .where(Member.user_id == _USER_ID, UnitMembership.unit_id.is_not(None))
)
_UNIT = func.jsonb_build_object("id", _CHAINS.c.unit_id, "name", _CHAINS.c.name, "path", _CHAINS.c.path)
_UNITS = (
    select(_CHAINS.c.org_id, func.jsonb_agg(aggregate_order_by(_UNIT, _CHAINS.c.path)).label("units"))
    .where(_CHAINS.c.parent_id.is_(None))
    .group_by(_CHAINS.c.org_id)
    .subquery()
)
_WAITING_REQUEST = (
    select(RemovalRequest.id)
    .where(RemovalRequest.org_id == Member.org_id, RemovalRequest.user_id == _USER_ID, REMOVAL_REQUEST.waiting)
    .correlate(Member)
    .scalar_subquery()
)
_OWN_ROWS = (
    select(
        Member.org_id,
        Org.name.label("org_name"),
        Org.kind.label("org_kind"),
        Org.region_code,
        Member.name,
        Member.party,
        Member.probationary,
        Member.post,
        func.coalesce(_UNITS.c.units, func.jsonb_build_array()).label("units"),
        exists().where(_UNIT_OF_ROW, UnitMembership.unit_id.is_(None)).label("at_org"),
        exists().where(OrgAdmin.org_id == Member.org_id, OrgAdmin.user_id == _USER_ID).label("admin"),
        _WAITING_REQUEST.label("removal_request_id"),
        Activation.since.label("active_since"),
    )
    .join(Org, Org.id == Member.org_id)
    .join(
        Activation,
        and_(Activation.org_id == Member.org_id, Activation.member_id == Member.id, Activation.until.is_(None)),
    )
    .join(_UNITS, _UNITS.c.org_id == Member.org_id, isouter=True)
    .where(Member.user_id == _USER_ID, Org.status == literal_column("'live'"))
)
_MEMBERSHIPS = PagedStatement(_OWN_ROWS, Member.org_id, row=_MembershipRow)
_MEMBERSHIP = _OWN_ROWS.where(Member.org_id == bindparam("org_id"))


async def list_memberships(db: Readable, user_id: UUID, paging: Paging) -> Page[MembershipOut]:
    """Return a page of the rows in live orgs that are linked to the user, the oldest org first.

    A row that has only the user's phone, and is not linked, is not the user's (S18): it is not in the list.
    """
    found = await _MEMBERSHIPS.fetch(db, paging, user_id=user_id)
    return Page[MembershipOut].from_slice(found.map(_make_out))


async def get_membership(db: Readable, user_id: UUID, org_id: UUID) -> MembershipOut:
    """Return the user's row in a live org. Raises NotFound."""
    return _make_out(await one_or_404(db, _MEMBERSHIP, _MembershipRow, {"user_id": user_id, "org_id": org_id}))


def _make_out(row: _MembershipRow) -> MembershipOut:
    shown = row._asdict()
    code = shown.pop("region_code")
    return MembershipOut(**shown, org_region=format_region_path(code) or code)


_BLOCKED_ORGS_OF_USER = (
    select(OrgBlock.org_id, Org.name.label("org_name"), OrgBlock.created_at.label("blocked_at"))
    .join(Org, Org.id == OrgBlock.org_id)
    .where(OrgBlock.user_id == _USER_ID)
)
_BLOCKED_ORGS = PagedStatement(_BLOCKED_ORGS_OF_USER, OrgBlock.org_id, row=BlockedOrgOut)
_BLOCKED_ORG = _BLOCKED_ORGS_OF_USER.where(OrgBlock.org_id == bindparam("org_id"))


async def list_blocked_orgs(db: Readable, user_id: UUID, paging: Paging) -> Page[BlockedOrgOut]:
    """Return a page of the orgs that the user has blocked, the oldest org first."""
    return Page[BlockedOrgOut].from_slice(await _BLOCKED_ORGS.fetch(db, paging, user_id=user_id))


async def get_blocked_org(db: Readable, user_id: UUID, org_id: UUID) -> BlockedOrgOut:
    """Return an org that the user has blocked. Raises NotFound."""
    return await one_or_404(db, _BLOCKED_ORG, BlockedOrgOut, {"user_id": user_id, "org_id": org_id})
