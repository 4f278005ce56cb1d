"""OAuth clients: creation, rotation of secrets, revocation, restoration. Platform operators manage them (`xuezu
clients`).

A secret is shown once and stored as a hash. After a rotation the old secrets stay valid for a while, so a service
always has a valid secret.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import and_, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.auth.errors import BuiltInClient, UnusableScopes
from app.authz.person_address import BUILT_IN, is_confidential
from app.authz.scopes import DEVICE_SCOPES, SERVICE_SCOPES
from app.core.cipher import create_secret, hash_secret
from app.database.db import Readable
from app.database.rows import fetch_rows, one_or_404
from app.schema.auth import Session
from app.schema.sign_in import ClientSecret, OAuthClient

OVERLAP = timedelta(days=1)
_DAY = 86_400
# A desktop program stays signed in for a month of use, as its users expect.
# A person stays signed in to an app as long as to the app of this service.
_LIFETIMES = {
    "app": {"refresh_seconds": 90 * _DAY, "session_seconds": 730 * _DAY},
    "device": {"refresh_seconds": 30 * _DAY, "session_seconds": 365 * _DAY},
    "service": {},
}
_ALLOWED_SCOPES = {"app": frozenset(), "device": DEVICE_SCOPES, "service": SERVICE_SCOPES}


class NoSuchClient(Exception):
    """No live client has this id."""


@dataclass(frozen=True, slots=True)
class NewClient:
    """A new client. `secret` is shown only once; it is None for a public client."""

    client_id: str
    secret: str | None


class ClientRow(NamedTuple):
    """A client and the number of its live secrets."""

    id: str
    name: str
    kind: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None
    secrets: int

    @property
    def has_secrets(self) -> bool:
        """Return whether the client must authenticate with a secret."""
        return is_confidential(self.id, self.kind)


async def create_client(
    db: AsyncConnection,
    actor: Actor,
    *,
    name: str,
    kind: Literal["app", "device", "service"] = "service",
    scopes: Sequence[str] = (),
) -> NewClient:
    """Create a service or the back end of an app, with its first secret, or a public program that signs people in by
    scan. Raises UnusableScopes for a scope that this kind cannot have, and for a program without scopes. An app has all
    scopes of its people, so none are registered."""
    if set(scopes) - _ALLOWED_SCOPES[kind] or (kind == "device" and not scopes):
        raise UnusableScopes
    client_id = f"{kind}-{secrets.token_hex(6)}"
    values = {"id": client_id, "name": name, "kind": kind, "scopes": sorted(set(scopes))}
    await db.execute(insert(OAuthClient).values(values | _LIFETIMES[kind]))
    secret = await _add_secret(db, client_id) if is_confidential(client_id, kind) else None
    await record(
        db, actor, "client.created", subject=("client", None), after={"client": client_id, "scopes": values["scopes"]}
    )
    return NewClient(client_id, secret)


async def rotate_secret(db: AsyncConnection, actor: Actor, client_id: str, *, overlap: timedelta = OVERLAP) -> str:
    """Create a secret for a confidential client and return it. Its other secrets expire after `overlap`. Raises
    NoSuchClient."""
    confidential = and_(OAuthClient.kind.in_(("app", "service")), OAuthClient.id.not_in(BUILT_IN))
    live = and_(OAuthClient.id == client_id, confidential, OAuthClient.revoked_at.is_(None))
    # The lock makes the later of two concurrent rotations see, and limit, the secret of the earlier one.
    if await db.scalar(select(OAuthClient.id).where(live).with_for_update()) is None:
        raise NoSuchClient(client_id)
    ending = func.now() + overlap
    await db.execute(
        update(ClientSecret)
        .where(ClientSecret.client_id == client_id)
        .where(or_(ClientSecret.expires_at.is_(None), ClientSecret.expires_at > ending))
        .values(expires_at=ending)
    )
    secret = await _add_secret(db, client_id)
    await record(db, actor, "client.secret_rotated", subject=("client", None), after={"client": client_id})
    return secret


async def count_sessions(db: Readable, client_id: str) -> int:
    """Return the number of live sessions of a live client. Raises NoSuchClient."""
    live = and_(OAuthClient.id == client_id, OAuthClient.revoked_at.is_(None))
    sessions = select(func.count()).where(Session.client_id == OAuthClient.id, Session.ended_at.is_(None))
    found = await db.scalar(select(sessions.scalar_subquery()).where(live))
    if found is None:
        raise NoSuchClient(client_id)
    return int(found)


async def revoke_client(db: AsyncConnection, actor: Actor, client_id: str) -> None:
    """Revoke a client with all its secrets, tokens and sessions, at once, until `restore_client`. Raises NoSuchClient;
    BuiltInClient for the app and the console, which people need to sign in."""
    if client_id in BUILT_IN:
        raise BuiltInClient
    revoked = await db.scalar(
        update(OAuthClient)
        .where(OAuthClient.id == client_id, OAuthClient.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(OAuthClient.id)
    )
    if revoked is None:
        raise NoSuchClient(client_id)
    await db.execute(
        update(Session).where(Session.client_id == client_id, Session.ended_at.is_(None)).values(ended_at=func.now())
    )
    await record(db, actor, "client.revoked", subject=("client", None), after={"client": client_id})


async def restore_client(db: AsyncConnection, actor: Actor, client_id: str) -> None:
    """Restore a revoked client: its secrets that have not expired are valid again, and its sessions stay ended. A live
    client stays as it is. Raises NoSuchClient."""
    found = select(OAuthClient.revoked_at.is_not(None)).where(OAuthClient.id == client_id).with_for_update()
    revoked = await db.scalar(found)
    if revoked is None:
        raise NoSuchClient(client_id)
    if revoked:
        await db.execute(update(OAuthClient).where(OAuthClient.id == client_id).values(revoked_at=None))
        await record(db, actor, "client.restored", subject=("client", None), after={"client": client_id})


_LIVE_SECRETS = (
    select(func.count())
    .where(ClientSecret.client_id == OAuthClient.id)
    .where(or_(ClientSecret.expires_at.is_(None), ClientSecret.expires_at > func.now()))
    .scalar_subquery()
)
_CLIENTS = select(
    OAuthClient.id,
    OAuthClient.name,
    OAuthClient.kind,
    OAuthClient.scopes,
    OAuthClient.created_at,
    OAuthClient.revoked_at,
    _LIVE_SECRETS.label("secrets"),
).order_by(OAuthClient.created_at)
_CLIENT = _CLIENTS.where(OAuthClient.id == bindparam("client_id"))


async def list_clients(db: Readable) -> Sequence[ClientRow]:
    """Return all clients, the oldest first."""
    return await fetch_rows(db, _CLIENTS, ClientRow)


async def get_client(db: Readable, client_id: str) -> ClientRow:
    """Return one client, also a revoked one. Raises NotFound."""
    return await one_or_404(db, _CLIENT, ClientRow, {"client_id": client_id})


async def _add_secret(db: AsyncConnection, client_id: str) -> str:
    secret = create_secret()
    await db.execute(insert(ClientSecret).values(client_id=client_id, secret_hash=hash_secret(secret)))
    return secret
