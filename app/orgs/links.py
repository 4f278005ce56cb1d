"""Links of an org with a token: making, using and revoking one, for every table of links (`schema.links`).

The caller has locked the org, checks the rule and writes the audit entry.
"""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.cipher import Cipher, create_secret, hash_secret
from app.core.ids import make_id
from app.schema.links import OrgLink


class LinkState(NamedTuple):
    """Whether a link can still be used."""

    expired: bool
    used_up: bool


def build_state_columns(table: type[OrgLink]) -> list[ColumnElement[bool]]:
    """Return the columns of `LinkState` for a statement."""
    return [(table.expires_at <= func.now()).label("expired"), (table.uses >= table.max_uses).label("used_up")]


async def insert_link(
    db: AsyncConnection, cipher: Cipher, table: type[OrgLink], *, expires_in_hours: int, **values: Any
) -> UUID:
    """Insert a link with a new token. Return its id.

    The token is stored as a hash for look-ups, and encrypted so that it can be shown again.
    """
    token, link_id = create_secret(), make_id()
    await db.execute(
        insert(table).values(
            id=link_id,
            token_hash=hash_secret(token),
            token_cipher=cipher.encrypt(token, link_id),
            expires_at=func.now() + timedelta(hours=expires_in_hours),
            **values,
        )
    )
    return link_id


async def revoke_link(db: AsyncConnection, table: type[OrgLink], org_id: UUID, link_id: UUID) -> bool:
    """Revoke a link of the org. Return False if there is none, or if it was revoked before."""
    revoked = await db.execute(
        update(table)
        .where(table.org_id == org_id, table.id == link_id, table.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    return revoked.rowcount > 0


async def use_link(db: AsyncConnection, table: type[OrgLink], link_id: UUID) -> bool:
    """Count one use of a link. Return False if it was revoked, or if a concurrent transaction took the last use."""
    used = await db.execute(
        update(table)
        .where(table.id == link_id, table.uses < table.max_uses, table.revoked_at.is_(None))
        .values(uses=table.uses + 1)
    )
    return used.rowcount > 0
