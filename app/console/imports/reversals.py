"""Undoing a finished import: the dialog with its effect, and the people for whom it is not undone."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import OrgScope
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import PageForm
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.console.imports.states import ImportId, Reader, Writer
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext, ngettext, number
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.imports.errors import ImportEditedSince
from app.members.imports.queries import get_import
from app.members.imports.reversals.operations import reverse_import
from app.members.imports.reversals.queries import list_blocked_people, preview_reversal
from app.members.imports.reversals.schemas import BlockedPersonOut, ReversalOut

router = APIRouter(
    prefix="/console/orgs/{org_id}/imports/{import_id}", route_class=ConsoleRoute, include_in_schema=False
)


class MoreBlockedPeople(FrameContext, template="imports/more_blocked_people.html"):
    people: Page[BlockedPersonOut]
    import_id: UUID


class BlockedPeople(MoreBlockedPeople, template="imports/blocked_people.html"):
    """The first people, with the heading."""


@add_confirmation_routes(router, "/reversal")
async def confirm_reversal(
    db: ReadableDb, cipher: CipherDep, scope: Writer, import_id: ImportId, form: PageForm
) -> Confirmation:
    """Undo the import. The user types the org's name, and confirms the number of people who stay as they are."""
    found = await get_import(db, scope.org_id, import_id)
    reversal = await preview_reversal(db, cipher, scope.org_id, import_id)
    shown = form.get("blocked", str(reversal.blocked))
    return Confirmation(
        title=gettext("撤销导入“{name}”", name=found.file_name),
        explanation=_explain(reversal),
        details=f"/console/orgs/{scope.org_id}/imports/{import_id}/blocked-people" if reversal.blocked else "",
        button=gettext("撤销其余人员的导入") if reversal.blocked else gettext("撤销导入"),
        operation=lambda db, _: _reverse_as_shown(db, cipher, scope, import_id, shown),
        message=ngettext("已撤销导入，{count} 人恢复为导入之前", reversal.people),
        name=scope.org.name,
        hidden_fields={"blocked": str(reversal.blocked)},
    )


@router.get("/blocked-people")
async def show_blocked_people(
    request: Request,
    db: ReadDb,
    cipher: CipherDep,
    scope: Reader,
    import_id: ImportId,
    paging: Annotated[Paging, paged_by(UUID)],
) -> Response:
    """Show the people for whom the import is not undone, each with the reason."""
    people = await list_blocked_people(db, cipher, scope.org_id, import_id, paging)
    part = BlockedPeople if paging.after is None else MoreBlockedPeople
    return render_part(request, part(frame=build_org_frame(scope, "imports"), people=people, import_id=import_id))


def _explain(reversal: ReversalOut) -> str:
    if reversal.blocked:
        return ngettext(
            "{count} 人恢复为导入之前：新增的人员移除，移出的人员恢复，其他人员恢复原来的姓名、手机号码和支部。"
            "不能撤销的 {blocked} 人保持现在的内容。",
            reversal.people,
            blocked=number(reversal.blocked),
        )
    return ngettext(
        "{count} 人恢复为导入之前：新增的人员移除，移出的人员恢复，其他人员恢复原来的姓名、手机号码和支部。",
        reversal.people,
    )


async def _reverse_as_shown(db: WriteDb, cipher: Cipher, scope: OrgScope, import_id: UUID, shown: str) -> None:
    """Undo the import. Raises ImportEditedSince if other than the `shown` number of people would stay as they are."""
    done = await reverse_import(db, cipher, scope, import_id, partial=shown != "0")
    if str(done.blocked) != shown:
        raise ImportEditedSince(blocked=done.blocked)
