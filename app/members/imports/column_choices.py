"""Reading the file of an import in another way: other columns, other sheets, units filled down."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, bindparam, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.database.rows import one_or_404
from app.members.imports.errors import ImportNotRereadable
from app.members.imports.jobs import CHECK, CHECK_LARGE, LARGE_BYTES
from app.members.imports.parser.headings import normalize_heading
from app.members.imports.schemas import ColumnChoice, ImportReadingPut, ImportState
from app.orgs.locks import lock_org_shared
from app.queue.jobs import enqueue
from app.schema.imports import Import, ImportFile, ImportHeading

_REMEMBER = insert(ImportHeading).values(
    org_id=bindparam("org_id"), heading=bindparam("heading"), field=bindparam("field", type_=Text())
)
_REMEMBER = _REMEMBER.on_conflict_do_update(
    index_elements=[ImportHeading.org_id, ImportHeading.heading],
    set_={"field": _REMEMBER.excluded.field, "chosen_at": func.now()},
)


async def change_reading(db: AsyncConnection, scope: OrgScope, import_id: UUID, body: ImportReadingPut) -> None:
    """Have the stored file read again as `body` says, and remember the columns for later files of the org.

    Locks the org and the import. Raises NotFound, and ImportNotRereadable if the import has been confirmed or is over,
    or if its file is not stored any more.
    """
    await lock_org_shared(db, scope)
    found = await one_or_404(
        db,
        select(Import.state, Import.reading)
        .where(Import.org_id == scope.org_id, Import.id == import_id)
        .with_for_update(),
    )
    of_import = (ImportFile.org_id == scope.org_id, ImportFile.import_id == import_id)
    size = await db.scalar(select(func.sum(func.length(ImportFile.content_cipher))).where(*of_import))
    if found.state not in {ImportState.READY, ImportState.REFUSED} or size is None:
        raise ImportNotRereadable(state=found.state)
    chosen = [(normalize_heading(choice.heading), choice.column, choice.field) for choice in body.columns]
    options = {"columns": chosen, "sheets": body.sheets, "fill_units": body.fill_units}
    await db.execute(
        update(Import)
        .where(Import.org_id == scope.org_id, Import.id == import_id)
        .values(state=ImportState.UPLOADED, refusal=null(), reading=null(), reading_options=options, rows_done=0)
    )
    for heading, field in _list_remembered(body.columns, found.reading).items():
        await db.execute(_REMEMBER, {"org_id": scope.org_id, "heading": heading, "field": field})
    payload = {"org_id": str(scope.org_id), "import_id": str(import_id)}
    await enqueue(db, CHECK_LARGE if size >= LARGE_BYTES else CHECK, payload)
    subject = ("import", import_id)
    after = {"columns": [choice.model_dump(mode="json") for choice in body.columns], "fill_units": body.fill_units}
    after |= {} if body.sheets is None else {"sheets": body.sheets}
    await record(db, scope.actor, "import.reread", org_id=scope.org_id, subject=subject, after=after)


def _list_remembered(choices: Sequence[ColumnChoice], reading: dict[str, Any] | None) -> dict[str, str | None]:
    """Return what is remembered of each heading: the choices, and that the columns which they replace are not read. A
    choice for one of several columns with a heading is about this file only."""
    remembered: dict[str, str | None] = {}
    for choice in choices:
        key = normalize_heading(choice.heading)
        if choice.column is not None or not key:
            continue
        remembered[key] = choice.field
        for sheet in (reading or {}).get("sheets", ()):
            for column in sheet["columns"]:
                replaced = normalize_heading(column["heading"])
                if column["field"] is not None and column["field"] == choice.field:
                    remembered.setdefault(replaced, None)
    return remembered
