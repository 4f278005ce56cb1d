"""The one way in which a write leaves its trace."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.schema.audit import AuditEntry


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where: a user or a service client; neither is the service itself (a job)."""

    user_id: UUID | None = None
    client_id: str | None = None
    address: str | None = None
    request_id: str | None = None

    def elsewhere(self) -> "Actor":
        """What an org that the actor does not act for may keep of who acted: the request, and nobody's person."""
        return Actor(request_id=self.request_id)


# Written out: every write runs it, and building it anew cost more than running it.
_ENTRY = """
    INSERT INTO audit_entries
        (org_id, user_id, client_id, address, request_id, action, subject_type, subject_id, before, after)
    {values}
    RETURNING id, org_id, action, subject_type, subject_id
"""
_EVENT = """
INSERT INTO outgoing_events (type, org_id, subject_type, subject_id, audit_entry_id)
SELECT action, org_id, subject_type, subject_id, id FROM entry
"""
_VALUES = """
    VALUES
        (:org_id, :user_id, :client_id, :address, :request_id, :action, :subject_type, :subject_id, :before, :after)
"""
_RECORD = text(f"""
WITH entry AS ({_ENTRY.format(values=_VALUES)})
{_EVENT}
""").bindparams(
    *(
        bindparam(column.key, type_=column.type)
        for column in (
            AuditEntry.org_id,
            AuditEntry.user_id,
            AuditEntry.client_id,
            AuditEntry.address,
            AuditEntry.request_id,
            AuditEntry.action,
            AuditEntry.subject_type,
            AuditEntry.subject_id,
            AuditEntry.before,
            AuditEntry.after,
        )
    )
)


async def record(
    db: AsyncConnection,
    actor: Actor,
    action: str,
    *,
    subject: tuple[str, UUID | None],
    org_id: UUID | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write the audit entry and the outgoing event of one write, in its transaction and in one statement.

    `action` is `noun.past_participle` (`org.created`) and is the event's type too; `subject` is what it happened to.
    `before` and `after` hold only what changed, JSON values, never a phone or ID number. The event carries ids alone:
    who receives it asks for what they may see.
    """
    kind, subject_id = subject
    entry = {
        "org_id": org_id,
        "user_id": actor.user_id,
        "client_id": actor.client_id,
        "address": actor.address,
        "request_id": actor.request_id,
        "action": action,
        "subject_type": kind,
        "subject_id": subject_id,
        "before": before,
        "after": after,
    }
    await db.execute(_RECORD, entry)


def recorded_by_statement(action: str, subject_type: str, after: str, source: str) -> str:
    """What a statement takes among its CTEs to write its own audit entry and outgoing event, as `record` does.

    For a service client's write that is of no org. `after` is an expression over `source` (`FROM …`), whose rows are
    the entries. The statement has the parameters `client_id`, `address` and `request_id`.
    """
    values = f"""
    SELECT NULL, NULL, :client_id, CAST(:address AS inet), :request_id,
        '{action}', '{subject_type}', NULL, NULL, {after}
    {source}
    """
    return f"entry AS ({_ENTRY.format(values=values)}),\nevent AS ({_EVENT})"
