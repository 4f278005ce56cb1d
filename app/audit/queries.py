"""Reads of the audit entries: of an org for its admins, of all orgs for operators."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CompoundSelect, Uuid, and_, any_, bindparam, case, exists, func, or_, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from app.audit.schemas import AuditEntryOut, AuditTrailEntryOut
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import fetch_rows
from app.schema.audit import AuditEntry
from app.schema.auth import User
from app.schema.members import Member
from app.schema.orgs import Org, Unit
from app.schema.person_transfers import PersonTransfer

# An entry's time is the beginning of its transaction, and its id is made later in the transaction. No transaction lasts
# this long.
_LONGEST_TRANSACTION = timedelta(hours=1)
_RECENT_ENTRIES = 5_000


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """The filters of the entries. None means that the filter does not apply. `until` itself is outside the interval."""

    action: str | None = None
    subject_type: str | None = None
    user_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    def build_parameters(self) -> dict[str, object]:
        """Return the values of the filters that apply, by name."""
        parameters = {name: value for name, value in asdict(self).items() if value is not None}
        if self.since is not None:
            parameters["first_id"] = _get_lowest_id(self.since)
        if self.until is not None:
            parameters["before_id"] = _get_lowest_id(self.until + _LONGEST_TRANSACTION)
        return parameters


class ActorRow(NamedTuple):
    """A user who acted for an org, with the verified name."""

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
# The index is on the id, and an id begins with its time. So a condition on the id limits the part of the index that a
# filter by time reads.
_CONDITIONS = {
    "action": (AuditEntry.action == bindparam("action"),),
    "subject_type": (AuditEntry.subject_type == bindparam("subject_type"),),
    "user_id": (AuditEntry.user_id == bindparam("user_id"),),
    "since": (AuditEntry.at >= bindparam("since"), AuditEntry.id >= bindparam("first_id")),
    "until": (AuditEntry.at < bindparam("until"), AuditEntry.id < bindparam("before_id")),
}


@cache
def _select_entries(filters: frozenset[str]) -> PagedStatement[AuditEntryOut]:
    """Build the statement that lists the entries which match these filters."""
    conditions = (condition for name in sorted(filters) for condition in _CONDITIONS[name])
    return PagedStatement(_ENTRIES.where(*conditions), AuditEntry.id.desc(), row=AuditEntryOut)


async def list_entries(db: Readable, org_id: UUID, wanted: AuditFilter, paging: Paging) -> Page[AuditEntryOut]:
    """Return a page of an org's entries, the newest first."""
    parameters = wanted.build_parameters()
    statement = _select_entries(frozenset(_CONDITIONS.keys() & parameters))
    return Page[AuditEntryOut].from_slice(await statement.fetch(db, paging, org_id=org_id, **parameters))


_TRAIL = select(*(AuditEntry.__table__.columns[name] for name in AuditTrailEntryOut.model_fields))


@cache
def _select_trail(filters: frozenset[str], *, of_org: bool, without_org: bool) -> PagedStatement[AuditTrailEntryOut]:
    """Build the statement that lists the entries of all orgs which match these filters."""
    conditions = [condition for name in sorted(filters) for condition in _CONDITIONS[name]]
    if of_org:
        conditions.append(AuditEntry.org_id == _ORG_ID)
    if without_org:
        conditions.append(AuditEntry.org_id.is_(None))
    return PagedStatement(_TRAIL.where(*conditions), AuditEntry.id.desc(), row=AuditTrailEntryOut)


async def list_trail(
    db: Readable, wanted: AuditFilter, paging: Paging, *, org_id: UUID | None = None, without_org: bool = False
) -> Page[AuditTrailEntryOut]:
    """Return a page of the entries of all orgs and of none, the newest first, without names and values."""
    parameters = wanted.build_parameters()
    statement = _select_trail(
        frozenset(_CONDITIONS.keys() & parameters), of_org=org_id is not None, without_org=without_org
    )
    if org_id is not None:
        parameters["org_id"] = org_id
    return Page[AuditTrailEntryOut].from_slice(await statement.fetch(db, paging, **parameters))


def _get_lowest_id(at: datetime) -> UUID:
    """Return the lowest UUIDv7 of an instant."""
    return UUID(int=max(int(at.timestamp() * 1000), 0) << 80)


_RECENT = (
    select(AuditEntry.user_id)
    .where(AuditEntry.org_id == _ORG_ID)
    .order_by(AuditEntry.id.desc())
    .limit(_RECENT_ENTRIES)
    .subquery("recent")
)
_ACTORS = (
    select(User.id, User.verified_name.label("name"))
    .where(
        or_(
            User.id.in_(select(_RECENT.c.user_id)),
            and_(
                User.id == bindparam("also", type_=Uuid()),
                exists().where(AuditEntry.org_id == _ORG_ID, AuditEntry.user_id == User.id),
            ),
        ),
        User.verified_name.is_not(None),
    )
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


async def list_actors(db: Readable, org_id: UUID, also: UUID | None = None) -> list[ActorRow]:
    """Return the verified users in the org's most recent entries, and `also` in an older one, ordered by name."""
    return await fetch_rows(db, _ACTORS, ActorRow, {"org_id": org_id, "also": also})


async def find_names(db: Readable, org_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the names for ids that occur in an org's entries, by id. An unknown id is absent.

    The ids may be those of orgs, of the org's people and units (removed ones too), and of transfers of people from it
    or to it.
    """
    if not ids:
        return {}
    found = await db.execute(_NAMES, {"org_id": org_id, "ids": list(ids)})
    return {row[0]: row[1] for row in found}
