"""Reads of an org's audit."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CompoundSelect, case, func, select, union_all

from app.audit.schemas import AuditEntryOut
from app.database.db import Readable
from app.database.paging import Page, Paging, fetch_page
from app.database.rows import fetch_rows
from app.schema.audit import AuditEntry
from app.schema.auth import User
from app.schema.members import Member
from app.schema.orgs import Org, Unit
from app.schema.person_transfers import PersonTransfer

# An entry's id is made within its transaction, its time is when that began; none lasts this long.
_LONGEST = timedelta(hours=1)
_ACTORS_AMONG = 5_000


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are asked for; None: whatever it is. `until` is no longer part of the time asked for."""

    action: str | None = None
    subject_type: str | None = None
    user_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class ActorRow(NamedTuple):
    id: UUID
    name: str


async def list_entries(db: Readable, org_id: UUID, asked: AuditFilter, paging: Paging) -> Page[AuditEntryOut]:
    """A page of an org's entries, the newest first."""
    statement = (
        select(
            *(column for column in AuditEntry.__table__.columns if column.key != "address"),
            func.host(AuditEntry.address).label("address"),
            User.verified_name.label("user_name"),
        )
        .outerjoin(User, User.id == AuditEntry.user_id)
        .where(AuditEntry.org_id == org_id)
    )
    if asked.action is not None:
        statement = statement.where(AuditEntry.action == asked.action)
    if asked.subject_type is not None:
        statement = statement.where(AuditEntry.subject_type == asked.subject_type)
    if asked.user_id is not None:
        statement = statement.where(AuditEntry.user_id == asked.user_id)
    # The index is by id, and an id begins with its time: a bound on it spares what lies outside.
    if asked.since is not None:
        statement = statement.where(AuditEntry.at >= asked.since, AuditEntry.id >= _first_id(asked.since))
    if asked.until is not None:
        statement = statement.where(AuditEntry.at < asked.until, AuditEntry.id < _first_id(asked.until + _LONGEST))
    return Page[AuditEntryOut].from_slice(
        await fetch_page(db, statement, paging, AuditEntry.id.desc(), row=AuditEntryOut)
    )


def _first_id(at: datetime) -> UUID:
    """The lowest UUIDv7 of an instant."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)


async def list_actors(db: Readable, org_id: UUID) -> list[ActorRow]:
    """The verified users who acted for the org lately, by name."""
    lately = (
        select(AuditEntry.user_id)
        .where(AuditEntry.org_id == org_id)
        .order_by(AuditEntry.id.desc())
        .limit(_ACTORS_AMONG)
        .subquery("lately")
    )
    statement = (
        select(User.id, User.verified_name.label("name"))
        .where(User.id.in_(select(lately.c.user_id)), User.verified_name.is_not(None))
        .order_by(User.verified_name, User.id)
    )
    return await fetch_rows(db, statement, ActorRow)


async def read_names(db: Readable, org_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """The names behind ids that an org's entries mention: its own people and units (removed ones too), those who went
    from it or came to it, and orgs."""
    if not ids:
        return {}
    left = PersonTransfer.org_id == org_id
    statement: CompoundSelect[Any] = union_all(
        select(Org.id, Org.name).where(Org.id.in_(ids)),
        select(Unit.id, Unit.name).where(Unit.org_id == org_id, Unit.id.in_(ids)),
        select(Member.user_id, Member.name).where(Member.org_id == org_id, Member.user_id.in_(ids)),
        select(Member.id, Member.name).where(Member.org_id == org_id, Member.id.in_(ids)),
        select(PersonTransfer.id, Member.name)
        .join(Member, Member.id == case((left, PersonTransfer.member_id), else_=PersonTransfer.new_member_id))
        .where(Member.org_id == org_id, PersonTransfer.id.in_(ids)),
    )
    return {row[0]: row[1] for row in await db.execute(statement)}
