"""Reads of an org's audit."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CompoundSelect, Uuid, any_, bindparam, case, func, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from app.audit.schemas import AuditEntryOut
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
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


_ORG_ID = bindparam("org_id", type_=Uuid())
_ENTRIES = (
    select(
        *(column for column in AuditEntry.__table__.columns if column.key != "address"),
        func.host(AuditEntry.address).label("address"),
        User.verified_name.label("user_name"),
    )
    .outerjoin(User, User.id == AuditEntry.user_id)
    .where(AuditEntry.org_id == _ORG_ID)
)
# The index is by id, and an id begins with its time: a bound on it spares what lies outside.
_CONDITIONS = {
    "action": (AuditEntry.action == bindparam("action"),),
    "subject_type": (AuditEntry.subject_type == bindparam("subject_type"),),
    "user_id": (AuditEntry.user_id == bindparam("user_id"),),
    "since": (AuditEntry.at >= bindparam("since"), AuditEntry.id >= bindparam("first_id")),
    "until": (AuditEntry.at < bindparam("until"), AuditEntry.id < bindparam("before_id")),
}


@cache
def _entries(asked: frozenset[str]) -> PagedStatement[AuditEntryOut]:
    """The list by the fields of the filter that are asked for."""
    conditions = (condition for name in sorted(asked) for condition in _CONDITIONS[name])
    return PagedStatement(_ENTRIES.where(*conditions), AuditEntry.id.desc(), row=AuditEntryOut)


async def list_entries(db: Readable, org_id: UUID, asked: AuditFilter, paging: Paging) -> Page[AuditEntryOut]:
    """A page of an org's entries, the newest first."""
    given = {name: value for name, value in asdict(asked).items() if value is not None}
    statement = _entries(frozenset(given))
    if asked.since is not None:
        given["first_id"] = _first_id(asked.since)
    if asked.until is not None:
        given["before_id"] = _first_id(asked.until + _LONGEST)
    return Page[AuditEntryOut].from_slice(await statement.fetch(db, paging, org_id=org_id, **given))


def _first_id(at: datetime) -> UUID:
    """The lowest UUIDv7 of an instant."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)


_LATELY = (
    select(AuditEntry.user_id)
    .where(AuditEntry.org_id == _ORG_ID)
    .order_by(AuditEntry.id.desc())
    .limit(_ACTORS_AMONG)
    .subquery("lately")
)
_ACTORS = (
    select(User.id, User.verified_name.label("name"))
    .where(User.id.in_(select(_LATELY.c.user_id)), User.verified_name.is_not(None))
    .order_by(User.verified_name, User.id)
)
_IDS = any_(bindparam("ids", type_=ARRAY(Uuid)))
_LEFT = PersonTransfer.org_id == _ORG_ID
_NAMES: CompoundSelect[Any] = union_all(
    select(Org.id, Org.name).where(Org.id == _IDS),
    select(Unit.id, Unit.name).where(Unit.org_id == _ORG_ID, Unit.id == _IDS),
    select(Member.user_id, Member.name).where(Member.org_id == _ORG_ID, Member.user_id == _IDS),
    select(Member.id, Member.name).where(Member.org_id == _ORG_ID, Member.id == _IDS),
    select(PersonTransfer.id, Member.name)
    .join(Member, Member.id == case((_LEFT, PersonTransfer.member_id), else_=PersonTransfer.new_member_id))
    .where(Member.org_id == _ORG_ID, PersonTransfer.id == _IDS),
)


async def list_actors(db: Readable, org_id: UUID) -> list[ActorRow]:
    """The verified users who acted for the org lately, by name."""
    return await fetch_rows(db, _ACTORS, ActorRow, {"org_id": org_id})


async def read_names(db: Readable, org_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """The names behind ids that an org's entries mention: its own people and units (removed ones too), those who went
    from it or came to it, and orgs."""
    if not ids:
        return {}
    found = await db.execute(_NAMES, {"org_id": org_id, "ids": list(ids)})
    return {row[0]: row[1] for row in found}
