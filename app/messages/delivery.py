"""Adding messages. Each is added in the transaction of the act that it reports, and takes no lock.

A user gets no message about an act of their own, but about their account. The messages about requests are added by
`approvals.requests`, in the statement that ends a request.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, bindparam, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from app.messages.kinds import MessageKind
from app.schema.messages import Message

_ADD = insert(Message)
_ADD_TO_ADMINS = text("""
INSERT INTO messages (user_id, kind, org_id, parameters)
SELECT a.user_id, :kind, CASE WHEN :named_id = o.id OR right(o.region_code, 4) <> '0000' THEN :named_id END, :parameters
FROM org_admins AS a JOIN orgs AS o ON o.id = a.org_id
WHERE a.org_id = :org_id AND a.user_id IS DISTINCT FROM :actor_id
""").bindparams(
    bindparam("org_id", type_=Uuid()),
    bindparam("named_id", type_=Uuid()),
    bindparam("actor_id", type_=Uuid()),
    bindparam("parameters", type_=JSONB),
)


_ADD_NEW_DEVICE = text("""
WITH earlier AS (
    SELECT old.client_id = new.client_id AND old.device IS NOT DISTINCT FROM new.device
        AND network(set_masklen(old.address, CASE family(old.address) WHEN 4 THEN 24 ELSE 64 END))
            IS NOT DISTINCT FROM network(set_masklen(new.address, CASE family(new.address) WHEN 4 THEN 24 ELSE 64 END))
        AS is_same
    FROM sessions AS old JOIN sessions AS new ON new.id = :session_id
    WHERE old.user_id = :user_id AND old.id <> :session_id
)
INSERT INTO messages (user_id, kind, parameters)
SELECT :user_id, :kind, jsonb_strip_nulls(jsonb_build_object('client', client.name, 'device', s.device))
FROM sessions AS s JOIN oauth_clients AS client ON client.id = s.client_id
WHERE s.id = :session_id AND (SELECT NOT bool_or(is_same) FROM earlier)
""").bindparams(bindparam("user_id", type_=Uuid()), bindparam("session_id", type_=Uuid()))


async def add_message(
    db: AsyncConnection,
    user_id: UUID,
    kind: MessageKind,
    org_id: UUID | None,
    *,
    actor_id: UUID | None,
    subject: tuple[str, UUID] | None = None,
    **parameters: Any,
) -> None:
    """Add a message to one user, unless the user is the one who acts (`actor_id`; None: the service)."""
    if user_id == actor_id:
        return
    subject_type, subject_id = subject or (None, None)
    values = {"user_id": user_id, "kind": kind, "org_id": org_id, "parameters": parameters}
    await db.execute(_ADD, values | {"subject_type": subject_type, "subject_id": subject_id})


async def add_account_message(db: AsyncConnection, user_id: UUID, kind: MessageKind) -> None:
    """Add a message about the user's account, also where the user is the one who acts: the caller may be a thief."""
    await add_message(db, user_id, kind, None, actor_id=None)


async def add_device_message(db: AsyncConnection, user_id: UUID, session_id: UUID) -> None:
    """Add a message about the session that has just started, if it is on a new device: none of the user's earlier
    sessions had this client and device and came from this network. The first session of an account gets none.
    """
    await db.execute(_ADD_NEW_DEVICE, {"user_id": user_id, "session_id": session_id, "kind": MessageKind.NEW_DEVICE})


async def add_message_to_admins(
    db: AsyncConnection,
    org_id: UUID,
    kind: MessageKind,
    *,
    actor_id: UUID | None,
    named_id: UUID | None = None,
    **parameters: Any,
) -> None:
    """Add a message to each admin of the org but the one who acts. It names the org, or else the org `named_id`.

    Where the admins need a security key, the message names no other org, because it is read without a key (S16).
    """
    values = {"org_id": org_id, "named_id": named_id or org_id, "kind": kind, "actor_id": actor_id}
    values["parameters"] = parameters
    await db.execute(_ADD_TO_ADMINS, values)


def build_insert(kind: MessageKind, source: str) -> str:
    """Return the INSERT with which a statement in SQL adds its own messages.

    `source` is the rest of a SELECT, from FROM on, over a row `s` with `user_id` and `org_id`.
    """
    return f"INSERT INTO messages (user_id, kind, org_id) SELECT s.user_id, '{kind}', s.org_id {source}"
