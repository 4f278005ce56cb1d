"""The confirmation of a preview, and the dialog of an import that removes many people."""

from collections.abc import Callable, Mapping
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.authz.access import OrgScope
from app.console.frame.confirmations import PAGE_CHANGED, Confirmation, ConfirmationDialog, run_confirmation
from app.console.frame.forms import Form, Outcome, PageForm, catch_problem
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.console.imports.decisions import list_rows_by_decision, parse_number, read_decisions
from app.console.imports.states import PREVIEW_CHANGED, ImportId, Writer, show_state
from app.core.cipher import Cipher, CipherDep
from app.core.i18n import gettext, ngettext
from app.database.db import Readable, ReadDb, WriteDb
from app.database.paging import Page, Paging
from app.members.imports.change_queries import list_changes
from app.members.imports.change_texts import describe_value
from app.members.imports.operations import confirm_import
from app.members.imports.queries import get_import
from app.members.imports.schemas import ChangeOutcome, ConfirmationUpdate, ImportChangeOut, ImportOut, RowDecision
from app.web.errors import Problem

router = APIRouter(
    prefix="/console/orgs/{org_id}/imports/{import_id}", route_class=ConsoleRoute, include_in_schema=False
)

_FIRST_PEOPLE = Paging(50, None)


class RemovalsDialog(ConfirmationDialog, template="imports/import_removals.html"):
    """The people who leave, of the present preview, and the confirmation of exactly their number."""

    viewed_import: ImportOut
    people: Page[ImportChangeOut]
    download: str
    describe_value: Callable[[str | bool | list[str] | None], str] = describe_value


@router.post("/confirmation")
async def submit_confirmation(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, import_id: ImportId, form: PageForm
) -> Response:
    """Confirm the preview of the import. An import with many removals needs `confirm_removals` instead."""
    body = _make_body(parse_number(form.get("preview", "")) or 0, None, read_decisions(form))
    outcome = await catch_problem(db, confirm_import(db, cipher, scope, import_id, body))
    return await show_state(request, db, scope, import_id, outcome)


@router.get("/removals")
async def show_removals(
    request: Request, db: ReadDb, cipher: CipherDep, scope: Writer, import_id: ImportId
) -> Response:
    """Show who leaves. The query has the decisions about undecided rows."""
    decisions = read_decisions(request.query_params)
    return await _show_removals(request, db, cipher, scope, import_id, decisions, Form([]), None)


@router.post("/removals")
async def confirm_removals(
    request: Request, db: WriteDb, cipher: CipherDep, scope: Writer, import_id: ImportId, form: PageForm
) -> Response:
    """Confirm an import that removes many people. The user types the org's name and confirms the number of people that
    was shown. If it is another one by now, the dialog shows who leaves now."""
    found = await get_import(db, scope.org_id, import_id)
    decisions = read_decisions(form)
    preview, leaving = (parse_number(form.get(name, "")) for name in ("preview", "leaving"))
    confirmation = _make_confirmation(cipher, scope, found, decisions, preview or 0, leaving or 0)
    outcome = await run_confirmation(db, confirmation, form)
    if not outcome:
        return show_message(request, confirmation.message, PAGE_CHANGED)
    if not isinstance(outcome, Problem):
        return await _show_removals(request, db, cipher, scope, import_id, decisions, form, outcome)
    # The name was typed for the numbers that were shown before.
    response = await _show_removals(request, db, cipher, scope, import_id, decisions, Form([]), outcome)
    response.headers["HX-Trigger"] = PREVIEW_CHANGED
    return response


async def _show_removals(
    request: Request,
    db: Readable,
    cipher: Cipher,
    scope: OrgScope,
    import_id: UUID,
    decisions: Mapping[str, str],
    form: Form,
    outcome: Outcome,
) -> Response:
    found = await get_import(db, scope.org_id, import_id)
    shown = RemovalsDialog(
        form=form,
        outcome=outcome,
        confirmation=_make_confirmation(cipher, scope, found, decisions, found.preview, found.counts.left),
        viewed_import=found,
        people=await list_changes(db, cipher, scope.org_id, import_id, ChangeOutcome.LEFT, _FIRST_PEOPLE),
        download=f"/console/orgs/{scope.org_id}/imports/{import_id}/changes.xlsx?outcome={ChangeOutcome.LEFT}",
    )
    return render_part(request, shown)


def _make_confirmation(
    cipher: Cipher, scope: OrgScope, found: ImportOut, decisions: Mapping[str, str], preview: int, leaving: int
) -> Confirmation:
    body = _make_body(preview, leaving, decisions)
    return Confirmation(
        title=ngettext("移除 {count} 人并导入", leaving),
        explanation=ngettext(
            "不在表格中的 {count} 人（现有 {people} 人）将从本组织及各支部中移除，30 天内可以恢复。"
            "请确认表格完整无误。",
            leaving,
            people=found.people,
        ),
        button=gettext("移除并导入"),
        operation=lambda db, _: confirm_import(db, cipher, scope, found.id, body),
        message=gettext("已确认，正在导入"),
        name=scope.org.name,
        hidden_fields={"leaving": str(leaving), "preview": str(preview), **decisions},
    )


def _make_body(preview: int, leaving: int | None, decisions: Mapping[str, str]) -> ConfirmationUpdate:
    rows = list_rows_by_decision(decisions)
    return ConfirmationUpdate(
        preview=preview,
        leaving=leaving,
        accepted_rows=rows[RowDecision.ACCEPTED],
        separate_rows=rows[RowDecision.SEPARATE],
    )
