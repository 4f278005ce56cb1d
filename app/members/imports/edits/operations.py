"""Writes that correct a preview. Each makes a new preview, which the confirmation must name."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.core.i18n import gettext
from app.members.imports.edits.schemas import ImportRowUpdate, UnitChoice, UnitChoicesUpdate
from app.members.imports.errors import ImportNotReady, ImportRowEdited
from app.members.imports.operations import lock_ready_import, update_import
from app.members.imports.previews import Preview, RowEdit, make_preview, update_preview
from app.members.imports.reader import SheetRow
from app.members.imports.row_queries import get_record, get_row, get_shown_cells, get_typed_cells
from app.members.imports.rows import StagedRow, stage_rows
from app.members.imports.staging.affected import get_row_values
from app.members.imports.staging.plan import ImportPlan
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_org_shared
from app.orgs.names import Kind
from app.schema.imports import ImportRow, ImportUnit
from app.schema.orgs import Unit
from app.web.errors import Invalid

_CELLS = ("name", "phone", "unit", "party", "party_kind", "post", "number")
_STORED_BY_EDIT = tuple(name for name in StagedRow._fields if name not in {"row_no", "new_member_id"})


async def edit_row(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, import_id: UUID, row_no: int, body: ImportRowUpdate
) -> None:
    """Give a row of the preview new values and check the import again.

    Locks the org, the index key and the import. Raises NotFound, ImportNotReady, TooManyNewUnits, and ImportRowEdited
    if a value that is to change is not the one that was seen.
    """
    indexer, plan, digest = await _lock_preview(db, cipher, scope, import_id)
    row = await get_record(db, scope.org_id, import_id, row_no)
    values = body.model_dump(exclude_none=True, exclude={"seen"})
    seen = body.seen.model_dump(exclude_none=True) if body.seen else {}
    shown = get_shown_cells(await get_row(db, cipher, scope.org_id, import_id, row_no))
    if any(seen.get(name, shown[name]) != shown[name] for name in values):
        raise ImportRowEdited
    cells = dict(zip(_CELLS, get_typed_cells(cipher, row), strict=True))
    cells |= {name: value.strip() for name, value in values.items()}
    edited = SheetRow(row_no=row_no, hidden="row-hidden" in row.warnings, **cells)
    party_org = scope.org.kind == Kind.PARTY
    (staged,) = stage_rows(indexer, scope.org_id, party_org, [edited], [row.new_member_id])
    of_row = (ImportRow.org_id == scope.org_id, ImportRow.import_id == import_id, ImportRow.row_no == row_no)
    stored = {name: getattr(staged, name) for name in _STORED_BY_EDIT}
    before = await get_row_values(db, plan, row_no)
    await db.execute(update(ImportRow).where(*of_row).values(decision=None, **stored))
    edit = RowEdit(row_no, before, await get_row_values(db, plan, row_no), digest)
    await _store_preview(db, plan, await update_preview(db, indexer, plan, edit))
    after = {"rows": 1, "fields": sorted(values)}
    await record(db, scope.actor, "import.edited", org_id=scope.org_id, subject=("import", import_id), after=after)


_CHOOSE = text("""
UPDATE import_units SET choice = :choice, unit_id = :unit_id
WHERE org_id = :org_id AND import_id = :import_id AND key = name_key(:path)
""").bindparams(bindparam("choice", type_=Text()), bindparam("unit_id", type_=Uuid()))


async def choose_units(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, import_id: UUID, body: UnitChoicesUpdate
) -> None:
    """Store what to do with units that the org does not have, and check the import again.

    Locks the org, the index key and the import. Raises NotFound, ImportNotReady, UnknownUnit, TooManyNewUnits, and
    Invalid for a path that is not in the list.
    """
    indexer, plan, _ = await _lock_preview(db, cipher, scope, import_id)
    wrong = [
        _make_error(f"/{name}", "enum", gettext("不是可选的值"))
        for name in ("all", "others")
        if getattr(body, name) is UnitChoice.USE
    ]
    of_import = (ImportUnit.org_id == scope.org_id, ImportUnit.import_id == import_id)
    if body.all is not None and not wrong:
        await db.execute(update(ImportUnit).where(*of_import).values(choice=body.all, unit_id=None))
    for number, item in enumerate(body.items):
        if (item.choice is UnitChoice.USE) == (item.unit_id is None):
            detail = gettext("choice 为 use 时必须给出 unit_id，其他情况不能给出")
            wrong.append(_make_error(f"/items/{number}/unit_id", "unit", detail))
            continue
        chosen = await db.execute(_CHOOSE, plan.parameters | item.model_dump())
        if not chosen.rowcount:
            wrong.append(_make_error(f"/items/{number}/path", "unknown", gettext("表格中没有这个待处理的支部")))
    if wrong:
        raise Invalid(errors=wrong)
    used = {item.unit_id for item in body.items if item.unit_id is not None}
    live = select(func.count()).where(Unit.org_id == scope.org_id, Unit.id.in_(used), Unit.removed_at.is_(None))
    if used and (await db.execute(live)).scalar_one() != len(used):
        raise UnknownUnit
    if body.others is not None:
        await db.execute(update(ImportUnit).where(*of_import, ImportUnit.choice.is_(None)).values(choice=body.others))
    await _store_preview(db, plan, await make_preview(db, indexer, plan))
    after = {"units": [item.path for item in body.items][:100], "all": body.all, "others": body.others}
    await record(db, scope.actor, "import.edited", org_id=scope.org_id, subject=("import", import_id), after=after)


def _make_error(pointer: str, code: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "code": code, "detail": detail}


async def _lock_preview(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, import_id: UUID
) -> tuple[BlindIndexer, ImportPlan, str | None]:
    """Lock the org, the index key and the import. Return also the digest of the directory of the preview. Raises
    NotFound, ImportNotReady."""
    await lock_org_shared(db, scope)
    indexer = await lock_index_key(db, cipher)
    found = await lock_ready_import(db, scope.org_id, import_id)
    if found.state != "ready":
        raise ImportNotReady(state=found.state)
    return indexer, found.make_plan(scope.org_id, import_id), found.directory_digest


async def _store_preview(db: AsyncConnection, plan: ImportPlan, preview: Preview) -> None:
    values: Mapping[str, Any] = preview.values
    await update_import(db, plan.org_id, plan.id, values)
