"""The dialog about how the file is read: the columns, the sheets, and empty units."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.console.frame.confirmations import PAGE_CHANGED
from app.console.frame.context import FrameContext, build_org_frame
from app.console.frame.forms import Form, FormContext, Outcome, PageForm, catch_problem, validate_fields
from app.console.frame.notices import show_message
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_part
from app.console.imports.states import ImportId, Writer
from app.core.i18n import gettext
from app.database.db import ReadDb, WriteDb
from app.members.imports.column_choices import change_reading
from app.members.imports.parser.headings import HEADINGS, normalize_heading
from app.members.imports.queries import get_import
from app.members.imports.schemas import ColumnField, ImportOut, ImportReadingPut

router = APIRouter(
    prefix="/console/orgs/{org_id}/imports/{import_id}/reading", route_class=ConsoleRoute, include_in_schema=False
)


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """A heading of the form. `letters` is empty if each sheet has the heading once; `sheets` are the positions of the
    sheets that have it."""

    heading: str
    letters: str
    field: str
    is_chosen: bool
    sheets: frozenset[int]


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A sheet of the form. `reason`: why it is not read; `is_left_out`: since an admin chose others."""

    name: str
    reason: str = ""
    is_left_out: bool = False


class ReadingDialog(FrameContext, FormContext, template="imports/import_reading_form.html"):
    columns: Sequence[ColumnRow]
    sheets: Sequence[SheetRow]
    fill_units: bool
    chosen_fields: Sequence[str]
    chosen_sheets: Sequence[str]
    field_names: Mapping[str, str]


@router.get("")
async def show_reading(request: Request, db: ReadDb, scope: Writer, import_id: ImportId) -> Response:
    """Show what each column is read as, to be changed."""
    found = await get_import(db, scope.org_id, import_id)
    columns, sheets = _list_columns(found), _list_sheets(found)
    shown = ReadingDialog(
        frame=build_org_frame(scope, "imports"),
        columns=columns,
        sheets=sheets,
        fill_units=found.reading is not None and found.reading.fill_units,
        chosen_fields=[column.field for column in columns],
        chosen_sheets=[sheet.name for sheet in sheets if not sheet.reason],
        field_names=name_fields(),
    )
    return render_part(request, shown)


@router.post("")
async def submit_reading(request: Request, db: WriteDb, scope: Writer, import_id: ImportId, form: PageForm) -> Response:
    """Have the file read again as chosen."""
    found = await get_import(db, scope.org_id, import_id)
    columns, sheets = _list_columns(found), _list_sheets(found)
    headings = zip(form.get_all("heading"), form.get_all("letters"), strict=False)
    fields = dict(zip(headings, form.get_all("field"), strict=False))
    chosen = [fields.get((column.heading, column.letters), column.field) for column in columns]
    outcome: Outcome = _find_wrong(columns, chosen, sheets, form)
    if not outcome:
        body = _read_body(columns, chosen, sheets, form, was_read=found.reading is not None)
        outcome = body if isinstance(body, ValidationError) else None
        if not isinstance(body, ValidationError):
            outcome = await catch_problem(db, change_reading(db, scope, import_id, body))
    if outcome is None:
        return show_message(request, gettext("正在重新读取表格"), PAGE_CHANGED)
    shown = ReadingDialog(
        frame=build_org_frame(scope, "imports"),
        form=form,
        outcome=outcome,
        columns=columns,
        sheets=sheets,
        fill_units="fill_units" in form,
        chosen_fields=chosen,
        chosen_sheets=form.get_all("sheet"),
        field_names=name_fields(),
    )
    return render_part(request, shown)


def name_fields() -> dict[str, str]:
    """Return the names of what a column can be read as, in the language of the request."""
    return {field.value: gettext(HEADINGS[field]) for field in ColumnField}


def _find_wrong(
    columns: Sequence[ColumnRow], chosen: Sequence[str], sheets: Sequence[SheetRow], form: Form
) -> set[str]:
    """Return the fields that are chosen for two columns of a sheet, and `sheets` if none is chosen."""
    counts = Counter(
        (sheet, field) for column, field in zip(columns, chosen, strict=True) if field for sheet in column.sheets
    )
    wrong = {field for (_, field), count in counts.items() if count > 1}
    return wrong | {"sheets"} if len(sheets) > 1 and not form.get_all("sheet") else wrong


def _read_body(
    columns: Sequence[ColumnRow], chosen: Sequence[str], sheets: Sequence[SheetRow], form: Form, *, was_read: bool
) -> ImportReadingPut | ValidationError:
    """Return how to read the file: what was chosen before, and what is chosen now. The other columns are read by their
    headings, and are not remembered. After a refusal all that is chosen counts: a heading alone did not decide."""
    choices = [
        {"heading": column.heading, "column": column.letters or None, "field": field or None}
        for column, field in zip(columns, chosen, strict=True)
        if column.is_chosen or field != column.field or (field and not was_read)
    ]
    ticked = form.get_all("sheet")
    is_default = len(sheets) < 2 or (
        {sheet.name for sheet in sheets if not sheet.reason} == set(ticked)
        and not any(sheet.is_left_out for sheet in sheets)
    )
    body = {"columns": choices, "sheets": None if is_default else ticked, "fill_units": "fill_units" in form}
    return validate_fields(ImportReadingPut, body)


def _list_columns(found: ImportOut) -> list[ColumnRow]:
    """Return the headings of the sheets that were read, or of the one that was refused for its header."""
    if found.reading is not None:
        sheets = [sheet.columns for sheet in found.reading.sheets]
    else:
        sheets = [(found.refusal and found.refusal.headings) or []]
    rows: dict[tuple[str, str], ColumnRow] = {}
    for position, columns in enumerate(sheets):
        keys = Counter(normalize_heading(column.heading) for column in columns)
        for column in columns:
            key = normalize_heading(column.heading)
            letters = column.column if keys[key] > 1 else ""
            known = rows.get((key, letters))
            rows[key, letters] = ColumnRow(
                heading=known.heading if known else column.heading,
                letters=letters,
                field=(known and known.field) or column.field or "",
                is_chosen=column.chosen or (known is not None and known.is_chosen),
                sheets=(known.sheets if known else frozenset()) | {position},
            )
    return list(rows.values())


def _list_sheets(found: ImportOut) -> list[SheetRow]:
    if found.reading is None:
        return []
    read = [SheetRow(sheet.name) for sheet in found.reading.sheets if sheet.name is not None]
    others = [
        SheetRow(sheet.name, sheet.title, sheet.reason == "not-chosen") for sheet in found.reading.sheets_not_read
    ]
    return read + others
