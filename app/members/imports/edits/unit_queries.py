"""Reads of the units that a sheet names and the org does not have, each with the most similar unit."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select

from app.core.names import make_name_key
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.members.imports.edits.schemas import SimilarUnitOut, UnitChoice, UnknownUnitOut
from app.orgs.unit_queries import list_unit_paths_by_id
from app.schema.imports import ImportUnit

# Two names are similar from this share of common pairs of characters, and most probably mean one unit from the other.
_SIMILAR, _SAME = 0.35, 0.6


class _UnitRow(NamedTuple):
    path: str
    rows: int
    choice: str | None
    unit_id: UUID | None


_UNKNOWN_UNITS = PagedStatement(
    select(ImportUnit.path, ImportUnit.rows, ImportUnit.choice, ImportUnit.unit_id).where(
        ImportUnit.org_id == bindparam("org_id"), ImportUnit.import_id == bindparam("import_id")
    ),
    ImportUnit.rows.desc(),
    ImportUnit.key,
    row=_UnitRow,
)


async def list_unknown_units(db: Readable, org_id: UUID, import_id: UUID, paging: Paging) -> Page[UnknownUnitOut]:
    """Return a page of the units that the org does not have, those with the most rows first."""
    found = await _UNKNOWN_UNITS.fetch(db, paging, org_id=org_id, import_id=import_id)
    paths = await list_unit_paths_by_id(db, org_id)
    similar = await asyncio.to_thread(find_similar_units, [row.path for row in found.rows], paths)
    return Page[UnknownUnitOut].from_slice(found.map(lambda row: _make_out(row, similar[row.path], paths)))


def _make_out(row: _UnitRow, similar: tuple[SimilarUnitOut, float] | None, paths: Mapping[UUID, str]) -> UnknownUnitOut:
    suggestion = None
    if not paths:
        suggestion = UnitChoice.CREATE
    elif similar is not None and similar[1] >= _SAME:
        suggestion = UnitChoice.USE
    return UnknownUnitOut(
        path=row.path,
        rows=row.rows,
        similar=similar and similar[0],
        suggestion=suggestion,
        choice=row.choice,
        unit_id=row.unit_id,
        unit_path=None if row.unit_id is None else paths.get(row.unit_id),
    )


def find_similar_units(
    names: Sequence[str], paths: Mapping[UUID, str]
) -> dict[str, tuple[SimilarUnitOut, float] | None]:
    """Return for each name the most similar of the units, and the share of common pairs of characters (0 to 1).

    Only the last part of a path is compared.
    """
    pairs = {unit: _list_pairs(path) for unit, path in paths.items()}
    units_of_pair: dict[str, list[UUID]] = {}
    for unit, own in pairs.items():
        for pair in own:
            units_of_pair.setdefault(pair, []).append(unit)
    found: dict[str, tuple[SimilarUnitOut, float] | None] = {}
    for name in names:
        wanted = _list_pairs(name)
        common = Counter(unit for pair in wanted for unit in units_of_pair.get(pair, ()))
        shares = ((2 * count / (len(wanted) + len(pairs[unit])), unit) for unit, count in common.items())
        share, best = max(shares, default=(0.0, None))
        close = best is not None and share >= _SIMILAR
        found[name] = (SimilarUnitOut(id=best, path=paths[best]), share) if best is not None and close else None
    return found


def _list_pairs(path: str) -> set[str]:
    key = make_name_key(path.rpartition("/")[2])
    return {key[at : at + 2] for at in range(len(key) - 1)} or {key}
