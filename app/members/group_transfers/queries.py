"""Reads of transfers of several people, for one of the two orgs, and why a person cannot be transferred."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Uuid, and_, bindparam, case, exists, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from app.approvals.kinds import GROUP_TRANSFER, PERSON_TRANSFER
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import fetch_rows, one_or_404
from app.members.group_transfers.schemas import (
    GroupTransferOut,
    GroupTransferPersonOut,
    Obstacle,
)
from app.members.superseded_requests import IS_PERSON_OF_TRANSFER
from app.orgs.names import Kind
from app.schema.admins import OrgAdmin
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.members import Member
from app.schema.orgs import Org
from app.schema.person_transfers import GroupTransfer, GroupTransferPerson

_ORG_ID = bindparam("org_id", type_=Uuid())
_From = aliased(Org, name="from_org")
_To = aliased(Org, name="to_org")
_There = aliased(Member, name="there")
_OwnRow = aliased(Member, name="own_row")

_IS_ADMIN = exists().where(
    OrgAdmin.org_id == Member.org_id,
    User.id == OrgAdmin.user_id,
    or_(
        User.id == Member.user_id,
        # The row of a suspended admin is inactive, but it is still the admin's.
        and_(
            User.phone_index == Member.phone_index,
            ~exists().where(_OwnRow.org_id == Member.org_id, _OwnRow.user_id == User.id).correlate(Member, User),
        ),
    ),
)


def _is_in(to_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return the condition that an org has a row of the person of `Member`, by account or by phone."""
    same_person = or_(_There.user_id == Member.user_id, _There.phone_index == Member.phone_index)
    return exists().where(_There.org_id == to_id, _There.removed_at.is_(None), same_person)


def build_obstacle(to_id: Any, to_kind: Any) -> ColumnElement[str | None]:
    """Return the SQL expression of the obstacle that the person of `Member` now has, for a receiving org with this id
    and kind; NULL: none."""
    return case(
        (Member.removed_at.is_not(None), Obstacle.LEFT),
        (_IS_ADMIN, Obstacle.ADMIN),
        (and_(to_kind == Kind.PARTY, ~Member.party), Obstacle.NO_PARTY_MEMBER),
        (_is_in(to_id), Obstacle.ALREADY_THERE),
    )


class ChosenPerson(NamedTuple):
    """A chosen person of the requesting org. Both columns are None if the directory has no such row."""

    id: UUID
    name: str | None
    obstacle: str | None


_GIVEN = (
    func.unnest(bindparam("member_ids", type_=ARRAY(Uuid))).table_valued("id", with_ordinality="place").render_derived()
)
_IN_TRANSFER = exists().where(IS_PERSON_OF_TRANSFER, PERSON_TRANSFER.waiting)
_IN_GROUP = exists().where(
    GroupTransferPerson.org_id == Member.org_id,
    GroupTransferPerson.member_id == Member.id,
    GroupTransfer.id == GroupTransferPerson.transfer_id,
    GROUP_TRANSFER.waiting,
)
# Whether the person is in the receiving org is not read here: the requesting org must not learn it.
_CHOSEN = (
    select(
        _GIVEN.c.id,
        Member.name,
        case(
            (Member.id.is_(None), Obstacle.UNKNOWN),
            (_IS_ADMIN, Obstacle.ADMIN),
            (and_(bindparam("to_kind") == Kind.PARTY, ~Member.party), Obstacle.NO_PARTY_MEMBER),
            (or_(_IN_TRANSFER, _IN_GROUP), Obstacle.TRANSFER_OPEN),
        ).label("obstacle"),
    )
    .select_from(_GIVEN)
    .outerjoin(Member, and_(Member.org_id == _ORG_ID, Member.id == _GIVEN.c.id, Member.removed_at.is_(None)))
    .order_by(_GIVEN.c.place)
)


async def list_chosen_people(
    db: Readable, org_id: UUID, to_kind: str, member_ids: Sequence[UUID]
) -> list[ChosenPerson]:
    """Return the chosen people in their order, each with the obstacle that the requesting org may know."""
    given = {"org_id": org_id, "to_kind": to_kind, "member_ids": list(member_ids)}
    return await fetch_rows(db, _CHOSEN, ChosenPerson, given)


_IS_OUTGOING = GroupTransfer.org_id == _ORG_ID
# The transfers out of and into the org, as that org sees them.
_TRANSFERS = (
    select(
        GroupTransfer.id,
        case((_IS_OUTGOING, "out"), else_="in").label("direction"),
        _From.name.label("from_name"),
        _To.name.label("to_name"),
        GroupTransfer.people,
        GroupTransfer.moved,
        GROUP_TRANSFER.state,
        User.verified_name.label("requested_by"),
        GroupTransfer.requested_at,
        GroupTransfer.expires_at,
        GroupTransfer.decided_at,
        GroupTransfer.reason,
    )
    .join(_From, _From.id == GroupTransfer.org_id)
    .join(_To, _To.id == GroupTransfer.to_id)
    .join(User, User.id == GroupTransfer.requested_by)
    .where(or_(_IS_OUTGOING, GroupTransfer.to_id == _ORG_ID))
)
_TRANSFER = _TRANSFERS.where(GroupTransfer.id == bindparam("transfer_id"))


@cache
def _build_list(*, by_direction: bool) -> PagedStatement[GroupTransferOut]:
    transfers = _TRANSFERS.where(bindparam("out", type_=Boolean()) == _IS_OUTGOING) if by_direction else _TRANSFERS
    return PagedStatement(transfers, GroupTransfer.id.desc(), row=GroupTransferOut)


async def list_group_transfers(
    db: Readable, org_id: UUID, paging: Paging, direction: str | None
) -> Page[GroupTransferOut]:
    """Return a page of the transfers out of the org, into it, or both (`direction` None), the newest first."""
    filters = {} if direction is None else {"out": direction == "out"}
    found = await _build_list(by_direction=bool(filters)).fetch(db, paging, org_id=org_id, **filters)
    return Page[GroupTransferOut].from_slice(found)


async def get_group_transfer(db: Readable, org_id: UUID, transfer_id: UUID) -> GroupTransferOut:
    """Return one transfer out of or into the org. Raises NotFound."""
    return await one_or_404(db, _TRANSFER, GroupTransferOut, {"org_id": org_id, "transfer_id": transfer_id})


_NewRow = aliased(Member, name="new_row")
_obstacle: ColumnElement[str | None] = case(
    (GROUP_TRANSFER.waiting, build_obstacle(GroupTransfer.to_id, _To.kind)), else_=GroupTransferPerson.obstacle
)
_PEOPLE_OF_TRANSFER = (
    select(
        case((_IS_OUTGOING, GroupTransferPerson.member_id), else_=GroupTransferPerson.new_member_id).label("member_id"),
        case((or_(_IS_OUTGOING, GROUP_TRANSFER.waiting), Member.name), else_=_NewRow.name).label("name"),
        case((or_(_IS_OUTGOING, GROUP_TRANSFER.waiting), Member.party), else_=_NewRow.party).label("party"),
        case(
            (
                and_(_IS_OUTGOING, _obstacle == Obstacle.ALREADY_THERE),
                case((GroupTransfer.state == State.PENDING, None), else_=Obstacle.NOT_TAKEN),
            ),
            else_=_obstacle,
        ).label("obstacle"),
    )
    .select_from(GroupTransferPerson)
    .join(GroupTransfer, GroupTransfer.id == GroupTransferPerson.transfer_id)
    .join(_To, _To.id == GroupTransfer.to_id)
    .join(Member, and_(Member.org_id == GroupTransferPerson.org_id, Member.id == GroupTransferPerson.member_id))
    .outerjoin(_NewRow, and_(_NewRow.org_id == GroupTransfer.to_id, _NewRow.id == GroupTransferPerson.new_member_id))
    .where(
        or_(_IS_OUTGOING, GroupTransfer.to_id == _ORG_ID),
        GroupTransferPerson.transfer_id == bindparam("transfer_id"),
    )
)
_PEOPLE = PagedStatement(_PEOPLE_OF_TRANSFER, GroupTransferPerson.place, row=GroupTransferPersonOut)
_COUNTS = _PEOPLE_OF_TRANSFER.with_only_columns(_obstacle, func.count()).group_by(_obstacle)


async def count_obstacles(db: Readable, org_id: UUID, transfer_id: UUID) -> dict[Obstacle | None, int]:
    """Return the number of people of a transfer by obstacle (None: no obstacle), as the receiving org sees them."""
    counts = await db.execute(_COUNTS, {"org_id": org_id, "transfer_id": transfer_id})
    return {None if obstacle is None else Obstacle(obstacle): count for obstacle, count in counts.all()}


async def list_group_transfer_people(
    db: Readable, org_id: UUID, transfer_id: UUID, paging: Paging
) -> Page[GroupTransferPersonOut]:
    """Return a page of the people of a transfer, as the org sees them. Raises NotFound."""
    await get_group_transfer(db, org_id, transfer_id)
    found = await _PEOPLE.fetch(db, paging, org_id=org_id, transfer_id=transfer_id)
    return Page[GroupTransferPersonOut].from_slice(found)
