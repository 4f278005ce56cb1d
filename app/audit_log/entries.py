"""Audit entries and outgoing events. Every write records both through this module."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Text, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from app.schema.audit import AuditEntry


@dataclass(frozen=True, slots=True)
class Actor:
    """The user or the service client that acts, with its address and request. If both are None, the service itself acts
    (a job)."""

    user_id: UUID | None = None
    client_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    from_proxy: bool = False
    """Whether the address is that of a trusted proxy which calls for itself."""

    def get_actor_for_other_org(self) -> "Actor":
        """Return the actor for the audit entry of an org for which this actor does not act: the request id alone, so
        that the entry names no person."""
        return Actor(request_id=self.request_id)


# A constant text, because every write runs this statement, and building it each time cost more than running it.
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
    """Insert the audit entry and the outgoing event of one write, in its transaction and in one statement.

    `action` is `noun.past_participle` (`org.created`), and it is the event's type too. `subject` is the type and the id
    of the changed row. `before` and `after` contain only the changed values, as JSON values, never a phone or an ID
    number. The event contains only ids: its receiver reads the data through the API, with its own permissions.
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


_VALUES_OF_MANY = """
    SELECT given.org_id, :user_id, :client_id, :address, :request_id, :action, :subject_type, given.subject_id,
        given.before, given.after
    FROM jsonb_to_recordset(:entries) AS given (org_id uuid, subject_id uuid, before jsonb, after jsonb)
"""
_RECORD_EACH = text(f"""
WITH entry AS ({_ENTRY.format(values=_VALUES_OF_MANY)})
{_EVENT}
""").bindparams(
    *(
        bindparam(column.key, type_=column.type)
        for column in (AuditEntry.user_id, AuditEntry.client_id, AuditEntry.address, AuditEntry.request_id)
    ),
    bindparam("action", type_=Text()),
    bindparam("subject_type", type_=Text()),
    bindparam("entries", type_=JSONB()),
)


class EntryOfMany(NamedTuple):
    """One of many entries of one action: the org, the changed row, and the changed values."""

    org_id: UUID
    subject_id: UUID
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


async def record_each(
    db: AsyncConnection, actor: Actor, action: str, subject_type: str, entries: Sequence[EntryOfMany]
) -> None:
    """Insert the audit entries and the outgoing events of one action on many rows, as `record` does, in one statement
    and in their order."""
    if not entries:
        return
    given = [
        {"org_id": str(each.org_id), "subject_id": str(each.subject_id), "before": each.before, "after": each.after}
        for each in entries
    ]
    acting = {
        "user_id": actor.user_id,
        "client_id": actor.client_id,
        "address": actor.address,
        "request_id": actor.request_id,
    }
    await db.execute(_RECORD_EACH, acting | {"action": action, "subject_type": subject_type, "entries": given})


def build_record_statement(source: str) -> TextClause:
    """Return a statement that writes the audit entries and outgoing events of many changes of one user.

    `source` is a SELECT with the columns `org_id`, `is_own` (whether the entry names the user), `action`,
    `subject_type`, `subject_id`, `before` and `after`. The statement has the parameter `user_id`.
    """
    values = f"""
    SELECT s.org_id, CASE WHEN s.is_own THEN CAST(:user_id AS uuid) END, NULL, NULL, NULL, s.action, s.subject_type,
        s.subject_id, s.before, s.after
    FROM ({source}) AS s
"""  # noqa: S608 — a constant
    return text(f"WITH entry AS ({_ENTRY.format(values=values)})\n{_EVENT}")


def build_audit_ctes(action: str, subject_type: str, after: str, source: str) -> str:
    """Return the CTEs with which a statement writes its own audit entries and outgoing events, as `record` does.

    They are for the writes of a service client that belong to no org. `source` is a FROM clause; each of its rows makes
    one entry. `after` is an SQL expression over this row. The statement has the parameters `client_id`, `address` and
    `request_id`.
    """
    values = f"""
    SELECT NULL, NULL, :client_id, CAST(:address AS inet), :request_id,
        '{action}', '{subject_type}', NULL, NULL, {after}
    {source}
    """
    return f"entry AS ({_ENTRY.format(values=values)}),\nevent AS ({_EVENT})"
