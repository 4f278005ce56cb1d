"""Reads of transfers."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import aliased

from app.certification.previews import count_what_moves, list_chain, preview_version
from app.certification.schemas import TransferDetailOut, TransferPreviewOut
from app.core.db import Readable
from app.core.errors import NotFound
from app.core.paging import Paging
from app.schema.auth import User
from app.schema.certification import Transfer
from app.schema.orgs import Org

OPEN = ("asked", "released")
_From = aliased(Org, name="from_org")
_To = aliased(Org, name="to_org")


def _transfers() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Transfer.id,
            Transfer.org_id,
            Org.name.label("org_name"),
            Transfer.from_id,
            _From.name.label("from_name"),
            Transfer.to_id,
            _To.name.label("to_name"),
            Transfer.state,
            User.verified_name.label("asked_by"),
            Transfer.asked_at,
            Transfer.released_at,
            Transfer.decided_at,
            Transfer.reason,
            Transfer.certification_id,
        )
        .join(Org, Org.id == Transfer.org_id)
        .join(_From, _From.id == Transfer.from_id)
        .join(_To, _To.id == Transfer.to_id)
        .join(User, User.id == Transfer.asked_by)
    )


def _concern(org_id: UUID) -> Any:
    return or_(Transfer.org_id == org_id, Transfer.from_id == org_id, Transfer.to_id == org_id)


async def list_transfers(db: Readable, org_id: UUID, paging: Paging) -> Sequence[Any]:
    """The transfers that concern the org: its own, those from it and those to it; newest first."""
    statement = _transfers().where(_concern(org_id)).order_by(Transfer.id.desc()).limit(paging.limit + 1)
    if paging.after is not None:
        statement = statement.where(Transfer.id < paging.after[0])
    return (await db.execute(statement)).all()


async def get_transfer(db: Readable, org_id: UUID, transfer_id: UUID, *, withhold_below: int = 3) -> TransferDetailOut:
    """One that concerns the org, with what moves while it is open; the points of fewer people than `withhold_below`
    are not told, as in reports. Raises NotFound."""
    statement = _transfers().where(Transfer.id == transfer_id, _concern(org_id))
    row = (await db.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    preview = None
    if row.state in OPEN:
        moving = await count_what_moves(db, row.org_id)
        preview = TransferPreviewOut(
            version=await preview_version(db, row),
            orgs=moving.orgs,
            people=moving.people,
            points=moving.points if moving.people >= withhold_below else None,
            from_chain=[above.name for above in await list_chain(db, row.from_id)],
            to_chain=[above.name for above in await list_chain(db, row.to_id)],
        )
    return TransferDetailOut(**row._mapping, preview=preview)
