"""The audit page (操作记录): who changed what, when and from where, filtered by time, person and kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BeforeValidator

from app.audit.queries import ActorRow, AuditFilter, find_names, list_actors, list_entries
from app.audit.schemas import AuditEntryOut
from app.authz.access import Can, OrgScope
from app.authz.permissions import Permission
from app.console.audit.entry_texts import format_value, list_fields, list_kinds, translate_action
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import OptionalId
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import is_partial, render_page
from app.core.calendar import SHANGHAI
from app.database.db import ReadDb
from app.database.paging import Paging, paged_by
from app.reports.periods import get_day_end

router = APIRouter(prefix="/console/orgs/{org_id}/audit", route_class=ConsoleRoute, include_in_schema=False)


def _parse_day(given: str) -> str | None:
    """Return the text, or None for an empty one or a year in which no entry can exist."""
    return given if given[:1] == "2" else None


OptionalDay = Annotated[date | None, BeforeValidator(_parse_day), Query()]


@dataclass(frozen=True, slots=True)
class AuditFilterForm:
    """The values of the filter form. An empty value does not filter. Both days are included."""

    kind: str
    who: UUID | None
    since: date | None
    until: date | None

    @property
    def has_filters(self) -> bool:
        """Return whether at least one filter has a value."""
        return bool(self.kind or self.who or self.since or self.until)

    @property
    def filter(self) -> AuditFilter:
        return AuditFilter(
            subject_type=self.kind or None,
            user_id=self.who,
            since=datetime.combine(self.since, time(), SHANGHAI) if self.since else None,
            until=get_day_end(self.until) if self.until else None,
        )

    def build_query(self, **changed: str) -> str:
        filters = {"kind": self.kind, "who": self.who, "since": self.since, "until": self.until, **changed}
        return urlencode({name: value for name, value in filters.items() if value})


async def _read_filters(
    kind: Annotated[str, Query(max_length=40, pattern="^[a-z_]*$")] = "",
    who: OptionalId = None,
    since: OptionalDay = None,
    until: OptionalDay = None,
) -> AuditFilterForm:
    return AuditFilterForm(kind, who, since, until)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One changed field, as text for the reader."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class EntryView:
    """One audit entry, as text for the reader."""

    at: datetime
    who: str | None
    who_id: UUID | None
    address: str | None
    action: str
    subject: str | None
    changes: Sequence[FieldChange]


class AuditRows(FrameContext, template="audit/audit_rows.html"):
    filters: AuditFilterForm
    entries: Sequence[EntryView]
    next_cursor: str | None


class AuditTable(AuditRows, template="audit/audit_table.html"):
    pass


class AuditPage(AuditTable, template="audit/audit.html"):
    """The whole page, with the people and the kinds to filter by."""

    actors: Sequence[ActorRow]
    kinds: Mapping[str, str]


@router.get("")
async def show_audit(
    request: Request,
    db: ReadDb,
    scope: Annotated[OrgScope, Can(Permission.AUDIT_READ)],
    filters: Annotated[AuditFilterForm, Depends(_read_filters)],
    paging: Annotated[Paging, paged_by(UUID)],
) -> Response:
    """Show the org's audit entries, the newest first. A partial request gets the next page, or the entries of another
    filter."""
    found = await list_entries(db, scope.org_id, filters.filter, paging)
    names = await find_names(db, scope.org_id, {each for entry in found.items for each in _list_mentioned_ids(entry)})
    entries = [_build_view(entry, names) for entry in found.items]
    frame = build_org_frame(scope, "audit")
    if is_partial(request):
        part = AuditRows if paging.after else AuditTable
        return render_page(request, part(frame=frame, filters=filters, entries=entries, next_cursor=found.next_cursor))
    page = AuditPage(
        frame=frame,
        filters=filters,
        entries=entries,
        next_cursor=found.next_cursor,
        actors=await list_actors(db, scope.org_id, filters.who),
        kinds=list_kinds(),
    )
    return render_page(request, page)


def _list_mentioned_ids(entry: AuditEntryOut) -> Iterator[UUID]:
    """Yield the ids in an entry for which the page may show a name: of the subject, and in the values."""
    if entry.subject_id is not None:
        yield entry.subject_id
    for side in (entry.before, entry.after):
        for value in (side or {}).values():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str) and len(item) == 36:
                    try:
                        yield UUID(item)
                    except ValueError:
                        continue


def _build_view(entry: AuditEntryOut, names: dict[UUID, str]) -> EntryView:
    fields, before, after = list_fields(), entry.before or {}, entry.after or {}
    subject = names.get(entry.subject_id) if entry.subject_id else None
    subject = subject or before.get("name") or after.get("name")
    changes = []
    for name, label in fields.items():
        old = format_value(name, before[name], names) if name in before else None
        new = format_value(name, after[name], names) if name in after else None
        # The heading already shows the name of a created or removed subject.
        if (old or new) and not (name == "name" and subject in {old, new} and None in {old, new}):
            changes.append(FieldChange(label, old, new))
    action = translate_action(entry.action)
    return EntryView(entry.at, entry.user_name, entry.user_id, entry.address, action, subject, changes)
