"""Writes of a user about the orgs that may not link them: block an org, lift the block."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.user_requests import withdraw_user_requests
from app.audit_log.entries import record
from app.authz.access import UserScope
from app.core.cipher import Cipher
from app.members.activation import activate_user, deactivate_member
from app.members.blocks import lift_block
from app.members.locks import increment_version
from app.members.removals.operations import require_not_own_admin
from app.orgs.locks import lock_orgs
from app.schema.auth import User
from app.schema.members import Member
from app.schema.own_rows import OrgBlock
from app.web.errors import NotFound


async def block_org(db: AsyncConnection, user: UserScope, org_id: UUID) -> None:
    """Let no row of the org's directory be linked to the user any more; a second time changes nothing. The row that is
    linked now stays, not activated, and the user's requests to the org end.

    Locks the org for edit, so that no import links the account meanwhile, the account, then the row. Raises NotFound
    if there is no live org with this id, AdminMustResign.
    """
    org = (await lock_orgs(db, org_id)).get(org_id)
    if org is None or org.status != "live":
        raise NotFound
    await require_not_own_admin(db, org_id, user.user_id)
    await db.execute(select(User.id).where(User.id == user.user_id).with_for_update(key_share=True))
    block = insert(OrgBlock).values(user_id=user.user_id, org_id=org_id).on_conflict_do_nothing()
    if (await db.execute(block)).rowcount == 0:
        return
    await record(db, user.actor, "org_block.created", subject=("org", org_id))
    own = select(Member.id).where(Member.org_id == org_id, Member.user_id == user.user_id).with_for_update()
    member_id: UUID | None = await db.scalar(own)
    if member_id is not None:
        await deactivate_member(db, org_id, member_id, message=False)
        await increment_version(db, org_id, member_id)
        actor, subject = user.actor.get_actor_for_other_org(), ("member", member_id)
        await record(db, actor, "member.unlinked", org_id=org_id, subject=subject)
    await withdraw_user_requests(db, user.user_id, user.actor, org_id)


async def unblock_org(db: AsyncConnection, cipher: Cipher, user: UserScope, org_id: UUID) -> None:
    """Lift the user's block of an org. A row with the user's phone and name is linked again.

    Locks the index key, the account, its phone and the rows. Raises NotFound if the org is not blocked.
    """
    if not await lift_block(db, user.user_id, org_id):
        raise NotFound
    await activate_user(db, cipher, user.user_id)
    await record(db, user.actor, "org_block.lifted", subject=("org", org_id))
