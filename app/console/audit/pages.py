"""The audit (操作记录): who did what to the org, when and from where; filtered by time, person and kind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BeforeValidator

from app.audit.queries import AuditFilter, list_actors, list_entries, read_names
from app.audit.schemas import AuditEntryOut
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.audit.entry_texts import action_text, list_fields, list_kinds, shown_value
from app.console.frame.forms import MaybeId
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import in_org
from app.console.frame.templates import is_partial, page
from app.core.calendar import SHANGHAI
from app.database.db import ReadDb
from app.database.paging import Paging, paged_by
from app.reports.periods import end_of

router = APIRouter(prefix="/console/orgs/{org_id}/audit", route_class=ConsoleRoute, include_in_schema=False)


def _day(given: str) -> str | None:
    """A day left empty is none; one of another millennium is none that an entry could have."""
    return given if given[:1] == "2" else None


MaybeDay = Annotated[date | None, BeforeValidator(_day), Query()]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the filter form asks for; an empty choice asks for all. Both days are part of it."""

    kind: str
    who: UUID | None
    since: date | None
    until: date | None

    @property
    def narrows(self) -> bool:
        return bool(self.kind or self.who or self.since or self.until)

    @property
    def filter(self) -> AuditFilter:
        return AuditFilter(
            subject_type=self.kind or None,
            user_id=self.who,
            since=datetime.combine(self.since, time(), SHANGHAI) if self.since else None,
            until=end_of(self.until) if self.until else None,
        )

    def query(self, **more: str) -> str:
        asked = {"kind": self.kind, "who": self.who, "since": self.since, "until": self.until, **more}
        return urlencode({name: value for name, value in asked.items() if value})


async def _asked(
    kind: Annotated[str, Query(max_length=40, pattern="^[a-z_]*$")] = "",
    who: MaybeId = None,
    since: MaybeDay = None,
    until: MaybeDay = None,
) -> Asked:
    return Asked(kind, who, since, until)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of what changed, in the reader's words."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One entry as it is read."""

    at: datetime
    who: str | None
    who_id: UUID | None
    address: str | None
    done: str
    subject: str | None
    changes: Sequence[Change]


@router.get("")
async def show_audit(
    request: Request,
    db: ReadDb,
    scope: Annotated[OrgScope, Can(Permission.AUDIT_READ)],
    asked: Annotated[Asked, Depends(_asked)],
    paging: Annotated[Paging, paged_by(UUID)],
) -> Response:
    """The entries, newest first; for a part: the next ones, or those of another filter."""
    found = await list_entries(db, scope.org_id, asked.filter, paging)
    names = await read_names(db, scope.org_id, {each for entry in found.items for each in _ids_in(entry)})
    shown = {
        **in_org(scope, "audit"),
        "asked": asked,
        "entries": [_shown(entry, names) for entry in found.items],
        "next_cursor": found.next_cursor,
    }
    if is_partial(request):
        return page(request, "audit/audit_rows.html" if paging.after else "audit/audit_table.html", **shown)
    actors = await list_actors(db, scope.org_id)
    return page(request, "audit/audit.html", **shown, actors=actors, kinds=list_kinds())


def _ids_in(entry: AuditEntryOut) -> Iterator[UUID]:
    if entry.subject_id is not None:
        yield entry.subject_id
    for side in (entry.before, entry.after):
        for value in (side or {}).values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and len(one) == 36:
                    try:
                        yield UUID(one)
                    except ValueError:
                        continue


def _shown(entry: AuditEntryOut, names: dict[UUID, str]) -> Shown:
    fields, before, after = list_fields(), entry.before or {}, entry.after or {}
    subject = names.get(entry.subject_id) if entry.subject_id else None
    subject = subject or before.get("name") or after.get("name")
    changes = []
    for name, called in fields.items():
        old = shown_value(name, before[name], names) if name in before else None
        new = shown_value(name, after[name], names) if name in after else None
        # The name of what was made or removed stands in the sentence already.
        if (old or new) and not (name == "name" and subject in {old, new} and None in {old, new}):
            changes.append(Change(called, old, new))
    done = action_text(entry.action)
    return Shown(entry.at, entry.user_name, entry.user_id, entry.address, done, subject, changes)
