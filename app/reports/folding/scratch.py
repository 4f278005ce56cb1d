"""The folder's scratch tables, the session's own and empty at every commit; the eight weights that are added up."""

from collections.abc import Iterable
from datetime import date

import asyncpg

COUNTS = ("members", "activated", "active_1", "active_7", "active_30")
SUMS = ("points_1", "points_7", "points_30")
WEIGHTS = (*COUNTS, *SUMS)

_WEIGHT_COLUMNS = ", ".join([*(f"{name} int" for name in COUNTS), *(f"{name} bigint" for name in SUMS)])
_OWN_COLUMNS = ", ".join([*(f"own_{name} int" for name in COUNTS), *(f"own_{name} bigint" for name in SUMS)])
_STANDING = "org_id uuid, member_id uuid, since date, before date, person uuid, activated bool"
_EDGE = "subordinate_id uuid, since date, before date, superior_id uuid"

_TABLES = {
    # What the facts say.
    "fold_points": "user_id uuid, day date, points bigint, events int",
    "fold_members": "org_id uuid, member_id uuid",
    "fold_orgs": "org_id uuid",
    # Rows of the folded state that go, and those that come.
    "fold_gone": _STANDING,
    "fold_came": _STANDING,
    "fold_edges": _EDGE,
    # What is to be added: who weighs how much, where they stand, and what of it reaches which org. `side` keeps apart
    # what is added for one person more than once: points earned, the person leaving, the person arriving.
    "fold_weights": f"day date, side smallint, person uuid, {_WEIGHT_COLUMNS}",
    "fold_spots": "day date, side smallint, person uuid, org_id uuid",
    "fold_climb": f"level int, day date, org_id uuid, {_WEIGHT_COLUMNS}",
    "fold_reach": "level int, day date, side smallint, person uuid, org_id uuid, UNIQUE (day, side, person, org_id)",
    "fold_totals": f"day date, org_id uuid, {_OWN_COLUMNS}, {_WEIGHT_COLUMNS}",
    # Moving subtrees.
    "fold_cut": "day date, org_id uuid",
    "fold_below": "level int, org_id uuid PRIMARY KEY",
    "fold_outside": "level int, person uuid, org_id uuid, PRIMARY KEY (person, org_id)",
}

EARNED, LEAVING, ARRIVING = 0, 1, 2


async def make_scratch(connection: asyncpg.Connection) -> None:
    """Make the session's scratch tables."""
    for name, columns in _TABLES.items():
        await connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} ({columns}) ON COMMIT DELETE ROWS")


def listed(form: str, names: Iterable[str] = WEIGHTS, separator: str = ", ") -> str:
    """The form for every name, `{}` standing for it: `sum(w.{})` → `sum(w.members), sum(w.activated), …`."""
    return separator.join(form.replace("{}", name) for name in names)


def quoted(day: date) -> str:
    """A day as SQL: scratch statements go without parameters, so that each is planned for what is there."""
    return f"DATE '{day.isoformat()}'"


async def count(connection: asyncpg.Connection, statement: str) -> int:
    """Run a statement and give how many rows it wrote."""
    tag: str = await connection.execute(statement)
    return int(tag.rpartition(" ")[2])
