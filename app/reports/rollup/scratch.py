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
    # The days that are folded to: those kept, and the one that is being prepared (`app.reports.rollup.coming`).
    "fold_days": "day date, scored bool, people_before uuid, orgs_before uuid",
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


_DAYS = """
INSERT INTO fold_days
SELECT day, scored, NULL, NULL FROM kept_days
UNION ALL SELECT day, true, people_before, orgs_before FROM prepared_days
"""


async def note_days(connection: asyncpg.Connection) -> None:
    """Note which days are folded to in this transaction."""
    await connection.execute(_DAYS)


def last_day(person: str) -> str:
    """The last day of a person's windows on a day `k` of `fold_days`.

    It is the day itself, but on a day that is being prepared, of whom it has not come to yet, the day before.
    """
    return f"k.day - coalesce({person} >= k.people_before, false)::int"


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


def made_equal(table: str, key: str, columns: str, fresh: str, *, of: str = "true") -> tuple[str, str]:
    """Two statements that make a table's rows (`of` a condition on `t`) those of a fresh one, and write what differs.

    What is right is left as it is: no reader meets twice the rows, and nothing has to be cleaned up after it.
    """
    both, all_of_it = key.split(", "), columns.split(", ")
    return (
        f"""
DELETE FROM {table} AS t WHERE {of}
AND NOT EXISTS (SELECT FROM {fresh} AS f WHERE {listed("f.{} = t.{}", all_of_it, " AND ")})
""",
        f"""
INSERT INTO {table} ({columns}) SELECT {columns} FROM {fresh} AS f
WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE {of} AND {listed("f.{} = t.{}", both, " AND ")}) ORDER BY {key}
""",
    )
