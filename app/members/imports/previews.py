"""The preview of an import: the outcomes of all its rows, the people whom it changes, and its counts."""

from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from app.blind_index.keys import BlindIndexer
from app.members.imports.errors import TooManyNewUnits
from app.members.imports.staging.changes import compare_changes, store_changes
from app.members.imports.staging.outcomes import (
    OutcomeCounts,
    compute_directory_digest,
    count_outcomes,
    store_row_outcomes,
)
from app.members.imports.staging.people import decide_people
from app.members.imports.staging.plan import ImportPlan
from app.members.imports.staging.rows import create_staged
from app.members.imports.staging.units import MAX_NEW_UNITS, resolve_units, store_unknown_units
from app.schema.members import Import

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
    counts = await count_outcomes(db, plan, final=False)
    if len(counts.new_units) > MAX_NEW_UNITS:
        raise TooManyNewUnits(limit=MAX_NEW_UNITS)
    await store_row_outcomes(db, plan, final=False)
    await store_changes(db, plan, with_undecided=True)
    await store_unknown_units(db, plan)
    return Preview(counts, directory_digest)
