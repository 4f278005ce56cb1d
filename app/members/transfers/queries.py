"""Reads of transfers of people, as one of the two orgs sees them."""

from functools import cache
from uuid import UUID

from sqlalchemy import Boolean, Uuid, and_, bindparam, case, or_, select
from sqlalchemy.orm import aliased

from app.approvals.kinds import PERSON_TRANSFER
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.members.transfers.schemas import PersonTransferOut
from app.schema.auth import User
from app.schema.members import Member
from app.schema.orgs import Org
from app.schema.person_transfers import PersonTransfer

_From = aliased(Org, name="from_org")
_To = aliased(Org, name="to_org")

PERSON = and_(Member.org_id == PersonTransfer.org_id, Member.id == PersonTransfer.member_id)
"""Whether a row of the directory is the person of the transfer."""


_ORG_ID = bindparam("org_id", type_=Uuid())
_OUT = PersonTransfer.org_id == _ORG_ID
# As the org sees those that it is a side of.
_SEEN = (
    select(
        PersonTransfer.id,
        case((_OUT, "out"), else_="in").label("direction"),
        _From.name.label("from_name"),
        _To.name.label("to_name"),
        case((PERSON_TRANSFER.waiting, Member.name)).label("name"),
        case((PERSON_TRANSFER.waiting, Member.party)).label("party"),
        case((_OUT, PersonTransfer.member_id), else_=PersonTransfer.new_member_id).label("member_id"),
        PERSON_TRANSFER.state,
        User.verified_name.label("requested_by"),
        PersonTransfer.requested_at,
        PersonTransfer.expires_at,
        PersonTransfer.decided_at,
        PersonTransfer.reason,
    )
    .join(_From, _From.id == PersonTransfer.org_id)
    .join(_To, _To.id == PersonTransfer.to_id)
    .join(User, User.id == PersonTransfer.requested_by)
    .join(Member, PERSON)
    .where(or_(_OUT, PersonTransfer.to_id == _ORG_ID))
)
_TRANSFER = _SEEN.where(PersonTransfer.id == bindparam("transfer_id"))


@cache
def _transfers(*, one_way: bool) -> PagedStatement[PersonTransferOut]:
    seen = _SEEN.where(bindparam("out", type_=Boolean()) == _OUT) if one_way else _SEEN
    return PagedStatement(seen, PersonTransfer.id.desc(), row=PersonTransferOut)


async def list_person_transfers(
    db: Readable, org_id: UUID, paging: Paging, direction: str | None
) -> Page[PersonTransferOut]:
    """A page of the transfers out of and into the org, newest first."""
    way = {} if direction is None else {"out": direction == "out"}
    found = await _transfers(one_way=bool(way)).fetch(db, paging, org_id=org_id, **way)
    return Page[PersonTransferOut].from_slice(found)


async def get_person_transfer(db: Readable, org_id: UUID, transfer_id: UUID) -> PersonTransferOut:
    """One that the org is a side of. Raises NotFound."""
    return await one_or_404(db, _TRANSFER, PersonTransferOut, {"org_id": org_id, "transfer_id": transfer_id})
