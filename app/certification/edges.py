"""Insert and end edges of the hierarchy. All other code changes edges through this module.

The caller has locked the hierarchy and then the rows of both orgs. The trigger and the unique indexes decide whether an
edge is allowed.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import TRANSFER
from app.approvals.requests import finish_requests
from app.authz.access import OrgScope
from app.authz.errors import OrgClosed
from app.certification.errors import AlreadyCertified, WouldCloseCircle
from app.database.db import on_constraint
from app.orgs.errors import SiblingNameTaken
from app.schema.approvals import CertificationState, State
from app.schema.certification import Certification, Transfer
from app.schema.orgs import Org

EDGE_ERRORS = (
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
    """Insert a live certification that has no application: for a transfer or a promotion. Return its id.

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
    with on_constraint(*EDGE_ERRORS):
        certification_id: UUID = (
            await db.execute(insert(Certification).values(values).returning(Certification.id))
        ).scalar_one()
    await bump_org_version(db, subordinate_id)
    return certification_id


async def end_edge(
    db: AsyncConnection,
    scope: OrgScope,
    subordinate_id: UUID,
    *,
    superior_id: UUID | None = None,
    at: datetime | None = None,
) -> UUID | None:
    """End the live certification of the org; with `superior_id`, only if it is under this superior. Return the
    certification's id, or None if there was no such certification.

    A pending transfer of the org away from this superior becomes superseded. If the transaction begins no other edge,
    the caller must also apply the org's pending change requests, because no superior remains to decide them
    (`admins.change_decisions`).
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
        await bump_org_version(db, subordinate_id)
        await finish_requests(
            db, TRANSFER, State.SUPERSEDED, Transfer.certification_id == ended, actor=scope.actor, of_org=scope.org_id
        )
    return ended


async def bump_org_version(db: AsyncConnection, *org_ids: UUID) -> None:
    """Increment the version of each org. The card shows the superior, so a new or ended edge changes the card."""
    await db.execute(update(Org).where(Org.id.in_(org_ids)).values(version=Org.version + 1))
