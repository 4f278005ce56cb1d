"""Reads of transfers."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, case, or_, select
from sqlalchemy.orm import aliased

from app.approvals.kinds import TRANSFER
from app.authz.access import OrgScope
from app.certification.previews import compute_preview_version, count_transfer_figures, list_chain
from app.certification.schemas import TransferDetailOut, TransferOut, TransferPreviewOut
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.orgs.advice import build_advice, list_edge_advice
from app.reports.visible_reports import Requester
from app.schema.approvals import State
from app.schema.auth import User
from app.schema.certification import Transfer
from app.schema.orgs import Org

_From = aliased(Org, name="from_org")
_To = aliased(Org, name="to_org")


_ORG_ID = bindparam("org_id", type_=Uuid())
_STEP = case((and_(TRANSFER.pending, Transfer.released_at.is_(None)), "release"), (TRANSFER.pending, "acceptance"))
# The transfers of the org itself, away from it, and to it.
_TRANSFERS = (
    select(
        Transfer.id,
        Transfer.org_id,
        Org.name.label("org_name"),
        Transfer.from_id,
        _From.name.label("from_name"),
        Transfer.to_id,
        _To.name.label("to_name"),
        Transfer.state,
        _STEP.label("step"),
        User.verified_name.label("requested_by"),
        Transfer.requested_at,
        Transfer.released_at,
        Transfer.decided_at,
        Transfer.reason,
        Transfer.certification_id,
    )
    .join(Org, Org.id == Transfer.org_id)
    .join(_From, _From.id == Transfer.from_id)
    .join(_To, _To.id == Transfer.to_id)
    .join(User, User.id == Transfer.requested_by)
    .where(or_(Transfer.org_id == _ORG_ID, Transfer.from_id == _ORG_ID, Transfer.to_id == _ORG_ID))
)
_TRANSFER = _TRANSFERS.add_columns(
    Org.kind.label("org_kind"),
    Org.region_code.label("org_region"),
    _To.kind.label("to_kind"),
    _To.region_code.label("to_region"),
).where(Transfer.id == bindparam("transfer_id"))
_NEWEST_FIRST = PagedStatement(_TRANSFERS, Transfer.id.desc(), row=TransferOut)


async def list_transfers(db: Readable, org_id: UUID, paging: Paging) -> Page[TransferOut]:
    """Return the transfers of the org itself, of orgs that leave it, and of orgs that move to it; the newest first."""
    return Page[TransferOut].from_slice(await _NEWEST_FIRST.fetch(db, paging, org_id=org_id))


async def get_transfer(db: Readable, scope: OrgScope, transfer_id: UUID, *, suppress_below: int) -> TransferDetailOut:
    """Return one transfer that concerns the scope's org. While the transfer is pending, it has a preview. Raises
    NotFound.

    The preview's people and points are None if the org's report withholds them from the caller.
    """
    found = await one_or_404(db, _TRANSFER, _Transfer, {"org_id": scope.org_id, "transfer_id": transfer_id})
    preview, advice = None, []
    if found.state is State.PENDING:
        requester = Requester(found.org_id, scope.user.user_id, found.org_id == scope.org_id, suppress_below)
        figures = await count_transfer_figures(db, requester)
        preview = TransferPreviewOut(
            version=await compute_preview_version(db, found),
            orgs=figures.orgs,
            people=figures.people,
            points=figures.points,
            from_chain=[org.name for org in await list_chain(db, found.from_id)],
            to_chain=[org.name for org in await list_chain(db, found.to_id)],
        )
        new_superior, org = _EdgeEnd(found.to_kind, found.to_region), _EdgeEnd(found.org_kind, found.org_region)
        advice = build_advice(list_edge_advice(new_superior, org))
    fields = found.model_dump(include=set(TransferOut.model_fields))
    return TransferDetailOut(**fields, preview=preview, advice=advice)


class _Transfer(TransferOut):
    certification_id: UUID
    org_kind: str
    org_region: str
    to_kind: str
    to_region: str


class _EdgeEnd(NamedTuple):
    kind: str
    region_code: str
