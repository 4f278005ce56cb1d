"""The preview of an import: the outcomes of all its rows, the people whom it changes, and its counts."""

from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from app.blind_index.keys import BlindIndexer
from app.members.imports.errors import TooManyNewUnits
from app.members.imports.staging.affected import RowValues, find_affected_rows, is_spelled_otherwise
from app.members.imports.staging.changes import compare_changes, store_affected_changes, store_changes
from app.members.imports.staging.outcomes import (
    OutcomeCounts,
    compute_directory_digest,
    count_outcomes,
    count_stored_outcomes,
    store_row_outcomes,
)
from app.members.imports.staging.people import decide_people
from app.members.imports.staging.plan import ImportPlan
from app.members.imports.staging.rows import create_staged
from app.members.imports.staging.units import MAX_NEW_UNITS, resolve_units, store_unknown_units
from app.schema.imports import Import

# A replacement that removes more people than this number, or than this share of all people, needs consent.
MAX_PEOPLE_WITHOUT_CONSENT = 50
MAX_SHARE_WITHOUT_CONSENT = 0.2


class Preview(NamedTuple):
    counts: OutcomeCounts
    directory_digest: str

    @property
    def values(self) -> dict[str, Any]:
        """Return the columns of the import that has the preview."""
        return {
            **self.counts._asdict(),
            "directory_digest": self.directory_digest,
            "preview": Import.preview + 1,
            "accepted_leaving": None,
        }


def needs_consent(leaving: int, people: int, unidentified: int) -> bool:
    """Return whether the removal of `leaving` of `people` needs an admin's consent to that number.

    It also does if a refused row does not say whom it is about: the person could be one of those who leave.
    """
    many = leaving > MAX_PEOPLE_WITHOUT_CONSENT or leaving > people * MAX_SHARE_WITHOUT_CONSENT
    return many or (leaving > 0 and unidentified > 0)


async def decide_outcomes(db: AsyncConnection, indexer: BlindIndexer, plan: ImportPlan) -> None:
    """Create all tables of the package `staging` from the stored rows. The directory is only read."""
    await create_staged(db, indexer, plan)
    await resolve_units(db, plan)
    await decide_people(db, plan)
    await compare_changes(db, plan)


async def make_preview(db: AsyncConnection, indexer: BlindIndexer, plan: ImportPlan) -> Preview:
    """Decide the outcomes of the stored rows and store them. Return the preview. Raises TooManyNewUnits."""
    digest = await compute_directory_digest(db, plan)
    await decide_outcomes(db, indexer, plan)
    return await store_preview(db, plan, digest)


async def store_preview(db: AsyncConnection, plan: ImportPlan, directory_digest: str) -> Preview:
    """Store the outcomes that are decided. Return the preview. Raises TooManyNewUnits."""
    preview = _limit_new_units(Preview(await count_outcomes(db, plan, final=False), directory_digest))
    await store_row_outcomes(db, plan, final=False)
    await store_changes(db, plan, with_undecided=True)
    await store_unknown_units(db, plan)
    return preview


class RowEdit(NamedTuple):
    """A row that was edited, as it was and as it is, and the directory of the preview before."""

    row_no: int
    before: RowValues
    after: RowValues
    directory_digest: str | None


async def update_preview(db: AsyncConnection, indexer: BlindIndexer, plan: ImportPlan, edit: RowEdit) -> Preview:
    """Decide the outcomes of the rows that the edited row affects, and store them. Return the preview, which is the
    same as that of `make_preview`. Raises TooManyNewUnits.

    If more can have changed than these rows, all rows are decided: people leave in other modes, the directory has
    changed, or the index key is rotated.
    """
    digest = await compute_directory_digest(db, plan)
    is_narrow = not plan.replaces and not indexer.cipher.is_rotating and digest == edit.directory_digest
    if not is_narrow or not await find_affected_rows(db, plan, edit.row_no, edit.before, edit.after):
        return await make_preview(db, indexer, plan)
    await create_staged(db, indexer, plan, only_affected=True)
    await resolve_units(db, plan)
    if await is_spelled_otherwise(db, edit.before, edit.after):
        return await make_preview(db, indexer, plan)
    await decide_people(db, plan)
    await compare_changes(db, plan)
    await store_row_outcomes(db, plan, final=False)
    await store_affected_changes(db, plan)
    await store_unknown_units(db, plan)
    return _limit_new_units(Preview(await count_stored_outcomes(db, plan), digest))


def _limit_new_units(preview: Preview) -> Preview:
    """Return the preview. Raises TooManyNewUnits."""
    if len(preview.counts.new_units) > MAX_NEW_UNITS:
        raise TooManyNewUnits(limit=MAX_NEW_UNITS)
    return preview
