"""Releasing a subordinate: its certification ends, and it no longer needs the superior's consent."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins.change_decisions import apply_pending_changes
from app.authz.access import OrgScope
from app.certification.audit import record_for_each_org
from app.certification.edges import end_edge
from app.hierarchy import tree
from app.messages.delivery import add_message_to_admins
from app.messages.kinds import MessageKind
from app.orgs.locks import lock_orgs_for_edit
from app.web.errors import NotFound


async def release_subordinate(db: AsyncConnection, scope: OrgScope, subordinate_id: UUID) -> None:
    """End the certification of a direct subordinate. The edge stays in the history with its time range.

    Pending change requests of the subordinate take effect now, because from now on they need no consent. Locks the
    hierarchy, then both orgs. Raises NotFound, Forbidden, OrgClosed.
    """
    await tree.lock_hierarchy(db)
    if await tree.find_superior_id(db, subordinate_id) != scope.org_id:
        raise NotFound
    await lock_orgs_for_edit(db, scope, subordinate_id)
    ended = await end_edge(db, scope, subordinate_id, superior_id=scope.org_id)
    if ended is None:
        raise NotFound
    before = {"superior_id": str(scope.org_id), "subordinate_id": str(subordinate_id)}
    subject = ("certification", ended)
    await record_for_each_org(db, scope, "certification.ended", subordinate_id, subject=subject, before=before)
    await add_message_to_admins(db, subordinate_id, MessageKind.ORG_RELEASED, actor_id=scope.user.user_id)
    await apply_pending_changes(db, scope.actor.get_actor_for_other_org(), subordinate_id)
