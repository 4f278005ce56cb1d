"""The one place where an edge of the hierarchy begins and ends.

The caller holds the hierarchy's lock and both orgs' rows, in this order; the trigger and the indexes decide.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import TRANSFER
from app.approvals.requests import finish_all
from app.authz.errors import OrgClosed
from app.certification.errors import AlreadyCertified, WouldCloseCircle
from app.database.db import on_constraint
from app.orgs.errors import SiblingNameTaken
from app.schema.approvals import CertificationState, State
from app.schema.certification import Certification, Transfer
from app.schema.orgs import Org

REFUSALS = (
    ("certifications_no_circle", WouldCloseCircle),
    ("certifications_live_orgs", OrgClosed),
    ("certifications_one_superior_key", AlreadyCertified),
    ("certifications_sibling_name_key", SiblingNameTaken),
)


async def begin_edge(
    db: AsyncConnection,
    superior_id: UUID,
    subordinate_id: UUID,
    *,
    requested_by: UUID,
    decided_by: UUID,
    invitation_id: UUID | None = None,
    at: datetime | None = None,
) -> UUID:
    """Certify without an application of its own: a transfer or a promotion; gives the certification's id.

    Raises WouldCloseCircle, AlreadyCertified, SiblingNameTaken, OrgClosed.
    """
    instant = func.clock_timestamp() if at is None else at
    values: dict[str, Any] = {
        "superior_id": superior_id,
        "subordinate_id": subordinate_id,
        "subordinate_name": select(Org.name).where(Org.id == subordinate_id).scalar_subquery(),
        "state": CertificationState.LIVE,
        "invitation_id": invitation_id,
        "requested_by": requested_by,
        "decided_by": decided_by,
        "decided_at": instant,
        "certified_at": instant,
    }
    with on_constraint(*REFUSALS):
        begun: UUID = (await db.execute(insert(Certification).values(values).returning(Certification.id))).scalar_one()
    await touch_card(db, subordinate_id)
    return begun


async def end_edge(
    db: AsyncConnection, subordinate_id: UUID, *, superior_id: UUID | None = None, at: datetime | None = None
) -> UUID | None:
    """End the certification of the org under its superior (or under this one). Returns the certification's id, None
    where it had none.

    A pending transfer that was to leave by this edge is superseded. Where no other edge follows in this transaction,
    the caller settles the org's change requests, which nobody is left to decide (`admins.change_decisions`).
    """
    live = [Certification.subordinate_id == subordinate_id, Certification.state == CertificationState.LIVE]
    if superior_id is not None:
        live.append(Certification.superior_id == superior_id)
    ended: UUID | None = await db.scalar(
        update(Certification)
        .where(*live)
        .values(
            state=CertificationState.ENDED, subordinate_name=None, ended_at=func.clock_timestamp() if at is None else at
        )
        .returning(Certification.id)
    )
    if ended is not None:
        await touch_card(db, subordinate_id)
        await finish_all(db, TRANSFER, State.SUPERSEDED, Transfer.certification_id == ended)
    return ended


async def touch_card(db: AsyncConnection, org_id: UUID) -> None:
    """The card shows the superior: an edge is a new version of it."""
    await db.execute(update(Org).where(Org.id == org_id).values(version=Org.version + 1))
