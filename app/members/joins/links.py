"""Links with which people ask to join an org or one of its units."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.core.app_links import build_join_link
from app.core.cipher import Cipher, hash_secret
from app.database.db import Readable
from app.database.paging import PagedStatement, Paging, Slice
from app.database.rows import fetch_row, one_or_404
from app.members.joins.errors import JoinLinkExpired, JoinLinkUnknown, JoinLinkUsedUp
from app.members.joins.schemas import JoinLinkCreate, JoinLinkOut
from app.orgs.errors import UnknownUnit
from app.orgs.links import build_state_columns, insert_link, revoke_link, use_link
from app.orgs.locks import lock_org_shared
from app.schema.joins import JoinLink
from app.schema.orgs import Org, Unit


class JoinLinkRow(NamedTuple):
    """A stored link. `token_cipher` is the token, encrypted with the link's id as associated data."""

    id: UUID
    token_cipher: bytes
    unit_id: UUID | None
    unit_name: str | None
    expires_at: datetime
    max_uses: int
    uses: int
    revoked_at: datetime | None
    created_at: datetime


class LiveJoinLink(NamedTuple):
    """A link that is not revoked, with the card of its org and its unit."""

    id: UUID
    org_id: UUID
    org_name: str
    org_kind: str
    region_code: str
    unit_id: UUID | None
    unit_name: str | None
    expires_at: datetime
    expired: bool
    used_up: bool


_UNIT_OF_LINK = and_(Unit.org_id == JoinLink.org_id, Unit.id == JoinLink.unit_id)
_LINKS_OF_ORG = (
    select(
        JoinLink.id,
        JoinLink.token_cipher,
        JoinLink.unit_id,
        Unit.name.label("unit_name"),
        JoinLink.expires_at,
        JoinLink.max_uses,
        JoinLink.uses,
        JoinLink.revoked_at,
        JoinLink.created_at,
    )
    .join(Unit, _UNIT_OF_LINK, isouter=True)
    .where(JoinLink.org_id == bindparam("org_id"))
)
_LINKS = PagedStatement(_LINKS_OF_ORG, JoinLink.id.desc(), row=JoinLinkRow)
_LINK = _LINKS_OF_ORG.where(JoinLink.id == bindparam("link_id"))
_LIVE_LINK = (
    select(
        JoinLink.id,
        JoinLink.org_id,
        Org.name.label("org_name"),
        Org.kind.label("org_kind"),
        Org.region_code,
        JoinLink.unit_id,
        Unit.name.label("unit_name"),
        JoinLink.expires_at,
        *build_state_columns(JoinLink),
    )
    .join(Org, Org.id == JoinLink.org_id)
    .join(Unit, _UNIT_OF_LINK, isouter=True)
    .where(JoinLink.token_hash == bindparam("token_hash"), JoinLink.revoked_at.is_(None), Org.status == "live")
)
_LIVE_UNIT = select(Unit.id).where(
    Unit.org_id == bindparam("org_id"), Unit.id == bindparam("unit_id"), Unit.removed_at.is_(None)
)


async def list_join_links(db: Readable, org_id: UUID, paging: Paging) -> Slice[JoinLinkRow]:
    """Return the org's links, the newest first."""
    return await _LINKS.fetch(db, paging, org_id=org_id)


async def get_join_link(db: Readable, org_id: UUID, link_id: UUID) -> JoinLinkRow:
    """Return one of the org's links. Raises NotFound."""
    return await one_or_404(db, _LINK, JoinLinkRow, {"org_id": org_id, "link_id": link_id})


async def get_live_join_link(db: Readable, token: str) -> LiveJoinLink:
    """Return the usable link with this token.

    Raises JoinLinkUnknown (no such link, or it is revoked, or its org is closed), JoinLinkExpired, JoinLinkUsedUp.
    """
    row = await fetch_row(db, _LIVE_LINK, LiveJoinLink, {"token_hash": hash_secret(token)})
    if row is None:
        raise JoinLinkUnknown
    if row.expired:
        raise JoinLinkExpired
    if row.used_up:
        raise JoinLinkUsedUp
    return row


def build_join_link_out(row: JoinLinkRow, cipher: Cipher, address: str) -> JoinLinkOut:
    """Return the link with its decrypted token. `address` is the public address of the service."""
    token = cipher.decrypt_text(row.token_cipher, row.id)
    return JoinLinkOut(**row._asdict(), token=token, link=build_join_link(address, token))


async def create_join_link(db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: JoinLinkCreate) -> JoinLinkRow:
    """Create a link of the org, or of one of its units. Return its row. Raises UnknownUnit, OrgClosed, Forbidden."""
    await lock_org_shared(db, scope)
    of_unit = {"org_id": scope.org_id, "unit_id": body.unit_id}
    if body.unit_id is not None and await db.scalar(_LIVE_UNIT, of_unit) is None:
        raise UnknownUnit
    values = of_unit | {"max_uses": body.max_uses, "created_by": scope.user.user_id}
    link_id = await insert_link(db, cipher, JoinLink, expires_in_hours=body.expires_in_hours, **values)
    row = await get_join_link(db, scope.org_id, link_id)
    after = {"max_uses": row.max_uses} | ({"unit_id": str(row.unit_id)} if row.unit_id else {})
    subject = ("join_link", link_id)
    await record(db, scope.actor, "join_link.created", org_id=scope.org_id, subject=subject, after=after)
    return row


async def revoke_join_link(db: AsyncConnection, scope: OrgScope, link_id: UUID) -> None:
    """Revoke a link. Requests made with it remain. A second revocation changes nothing. Raises NotFound, OrgClosed."""
    await lock_org_shared(db, scope)
    if not await revoke_link(db, JoinLink, scope.org_id, link_id):
        await get_join_link(db, scope.org_id, link_id)
        return
    await record(db, scope.actor, "join_link.revoked", org_id=scope.org_id, subject=("join_link", link_id))


async def use_join_link(db: AsyncConnection, link_id: UUID) -> None:
    """Count one use of a link. Raises JoinLinkUsedUp if a concurrent transaction took the last use."""
    if not await use_link(db, JoinLink, link_id):
        raise JoinLinkUsedUp
