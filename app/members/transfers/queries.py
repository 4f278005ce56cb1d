"""Reads of transfers of people, for one of the two orgs."""

from functools import cache
from uuid import UUID

from sqlalchemy import Boolean, Uuid, bindparam, case, or_, select
from sqlalchemy.orm import aliased

from app.approvals.kinds import PERSON_TRANSFER
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.members.superseded_requests import IS_PERSON_OF_TRANSFER
from app.members.transfers.schemas import PersonTransferOut
from app.schema.auth import User
from app.schema.members import Member
from app.schema.orgs import Org
from app.schema.person_transfers import PersonTransfer

_From = aliased(Org, name="from_org")
_To = aliased(Org, name="to_org")

_ORG_ID = bindparam("org_id", type_=Uuid())
_IS_OUTGOING = PersonTransfer.org_id == _ORG_ID
# The transfers out of and into the org, as that org sees them.
_TRANSFERS_OF_ORG = (
    select(
        PersonTransfer.id,
        case((_IS_OUTGOING, "out"), else_="in").label("direction"),
        _From.name.label("from_name"),
        _To.name.label("to_name"),
        case((PERSON_TRANSFER.waiting, Member.name)).label("name"),
        case((PERSON_TRANSFER.waiting, Member.party)).label("party"),
        case((_IS_OUTGOING, PersonTransfer.member_id), else_=PersonTransfer.new_member_id).label("member_id"),
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
    .join(Member, IS_PERSON_OF_TRANSFER)
    .where(or_(_IS_OUTGOING, PersonTransfer.to_id == _ORG_ID))
)
_TRANSFER = _TRANSFERS_OF_ORG.where(PersonTransfer.id == bindparam("transfer_id"))


@cache
def _build_list(*, by_direction: bool) -> PagedStatement[PersonTransferOut]:
    transfers = (
        _TRANSFERS_OF_ORG.where(bindparam("out", type_=Boolean()) == _IS_OUTGOING)
        if by_direction
        else _TRANSFERS_OF_ORG
    )
    return PagedStatement(transfers, PersonTransfer.id.desc(), row=PersonTransferOut)


async def list_person_transfers(
    db: Readable, org_id: UUID, paging: Paging, direction: str | None
) -> Page[PersonTransferOut]:
    """Return a page of the transfers out of the org, into it, or both (`direction` None), the newest first."""
    filters = {} if direction is None else {"out": direction == "out"}
    found = await _build_list(by_direction=bool(filters)).fetch(db, paging, org_id=org_id, **filters)
    return Page[PersonTransferOut].from_slice(found)


async def get_person_transfer(db: Readable, org_id: UUID, transfer_id: UUID) -> PersonTransferOut:
    """Return one transfer out of or into the org. Raises NotFound."""
    return await one_or_404(db, _TRANSFER, PersonTransferOut, {"org_id": org_id, "transfer_id": transfer_id})
