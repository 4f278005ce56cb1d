"""The day that comes, prepared from the one before, slice by slice, so that folding goes on between slices.

It begins as a copy of the day before and then comes to one person after the other, in the order of their ids: what
leaves their windows is taken off, and what they have on the day itself is put on. Whom it has not come to yet weighs
on it as on the day before, without the figures of that day alone (`scratch.last_day`). Scores follow, org by org: where
it has not come to yet there are none. So at every moment all that is written of the day is exact for what it has come
to, and facts that are folded meanwhile go to it as they go to the days that are kept. Nobody reads it until it is kept.
"""

from datetime import date
from uuid import UUID

import asyncpg

from app.reports.rollup.points import SPOTS
from app.reports.rollup.score_steps import building
from app.reports.rollup.scratch import EARNED, WEIGHTS, listed, quoted
from app.reports.rollup.spread import spread

PEOPLE = 25_000
SCORES = 25_000
"""So many people, or scores, in a slice: a fraction of a second each."""

_BEGUN = "SELECT people_before, orgs_before FROM prepared_days WHERE day = $1"

# Where nothing that begins or ends with the day is known yet, people and tree are those of the day before.
_FOLLOWS = """
SELECT EXISTS (SELECT FROM kept_days WHERE day = {day} - 1)
    AND NOT EXISTS (SELECT FROM standings WHERE since = {day} OR before = {day})
    AND NOT EXISTS (SELECT FROM tree_edges WHERE since = {day} OR before = {day})
"""

_FIRST = UUID(int=0)
_OF_A_DAY = ("active_1", "points_1")
_OTHERS = [name for name in WEIGHTS if name not in _OF_A_DAY]
_COPY = f"""
INSERT INTO org_totals (org_id, day, {listed("own_{}", _OTHERS)}, {listed("{}", _OTHERS)},
    {listed("own_{}", _OF_A_DAY)}, {listed("{}", _OF_A_DAY)})
SELECT org_id, {{day}}, {listed("own_{}", _OTHERS)}, {listed("{}", _OTHERS)}, 0, 0, 0, 0
FROM org_totals WHERE day = {{day}} - 1 ORDER BY org_id
"""

_NEXT_PERSON = "SELECT person FROM standings WHERE person > $1 ORDER BY person OFFSET $2 LIMIT 1"
_NEXT_ORG = "SELECT org_id FROM standings WHERE org_id > $1 ORDER BY org_id OFFSET $2 LIMIT 1"

# Of whoever has a day row that leaves a window, or is of the day itself: by how much their weight changes.
_WEIGHTS = f"""
INSERT INTO fold_weights
SELECT {{day}}, {EARNED}, c.user_id, 0, 0,
    c.new, (NOT d.in_7)::int * (c.new - c.left_7), (NOT d.in_30)::int * (c.new - c.left_30),
    c.points, c.points - c.points_7, c.points - c.points_30
FROM (
    SELECT user_id,
        count(*) FILTER (WHERE day = {{day}}) AS new, coalesce(sum(points) FILTER (WHERE day = {{day}}), 0) AS points,
        count(*) FILTER (WHERE day = {{day}} - 7) AS left_7,
        coalesce(sum(points) FILTER (WHERE day = {{day}} - 7), 0) AS points_7,
        count(*) FILTER (WHERE day = {{day}} - 30) AS left_30,
        coalesce(sum(points) FILTER (WHERE day = {{day}} - 30), 0) AS points_30
    FROM user_days WHERE day IN ({{day}}, {{day}} - 7, {{day}} - 30) AND {{these}} GROUP BY user_id
) AS c,
LATERAL (
    SELECT EXISTS (
        SELECT FROM user_days AS d WHERE d.user_id = c.user_id AND d.day BETWEEN {{day}} - 6 AND {{day}} - 1
    ) AS in_7, EXISTS (
        SELECT FROM user_days AS d WHERE d.user_id = c.user_id AND d.day BETWEEN {{day}} - 29 AND {{day}} - 1
    ) AS in_30
) AS d
"""

# The scores of the day before less what leaves; of whom that day has none, from all of their days.
_SCORES = """
INSERT INTO org_scores (org_id, member_id, day, user_id, last_7, total)
SELECT s.org_id, s.member_id, {day}, s.person, a.last_7 + c.points - c.points_7, a.total + c.points
FROM standings AS s
LEFT JOIN org_scores AS o
    ON o.org_id = s.org_id AND o.member_id = s.member_id AND o.day = {day} - 1 AND o.user_id = s.person
LEFT JOIN LATERAL (
    SELECT sum(d.points) FILTER (WHERE d.day > {day} - 8) AS last_7, sum(d.points) AS total
    FROM user_days AS d WHERE o.user_id IS NULL AND d.user_id = s.person AND d.day < {day}
) AS d ON o.user_id IS NULL
LEFT JOIN user_days AS here ON here.user_id = s.person AND here.day = {day}
LEFT JOIN user_days AS left_7 ON left_7.user_id = s.person AND left_7.day = {day} - 7,
LATERAL (SELECT coalesce(o.last_7, d.last_7, 0) AS last_7, coalesce(o.total, d.total, 0) AS total) AS a,
LATERAL (SELECT coalesce(here.points, 0) AS points, coalesce(left_7.points, 0) AS points_7) AS c
WHERE s.activated AND s.since <= {day} AND s.before > {day} AND {these} ORDER BY s.org_id, s.member_id
"""


async def prepare(connection: asyncpg.Connection, day: date) -> bool:
    """Prepare the next slice of a day, and with the last one keep it. False where it does not follow a kept day."""
    begun = await connection.fetchrow(_BEGUN, day)
    if begun is None:
        return await _begin(connection, day)
    if begun["people_before"] is not None:
        await _come_to_people(connection, day, begun["people_before"])
    elif begun["orgs_before"] is not None:
        await _come_to_orgs(connection, day, begun["orgs_before"])
    return True


async def _begin(connection: asyncpg.Connection, day: date) -> bool:
    at = {"day": quoted(day)}
    if not await connection.fetchval(_FOLLOWS.format(**at)):
        return False
    for table in ("org_totals", "org_scores"):
        await connection.execute("SELECT make_partition($1, $2, $2::date + 1)", table, day)
    for table in ("org_totals", "org_scores", "score_steps"):
        await connection.execute(f"DELETE FROM {table} WHERE day = {at['day']}")
    await connection.execute(_COPY.format(**at))
    await connection.execute("DELETE FROM prepared_days")
    await connection.execute(
        "INSERT INTO prepared_days (day, people_before, orgs_before) VALUES ($1, $2, $2)", day, _FIRST
    )
    return True


async def _come_to_people(connection: asyncpg.Connection, day: date, first: UUID) -> None:
    following = await connection.fetchval(_NEXT_PERSON, first, PEOPLE)
    await connection.execute(_WEIGHTS.format(day=quoted(day), these=_between("user_id", first, following)))
    await connection.execute(SPOTS)
    await spread(connection)
    await connection.execute("UPDATE prepared_days SET people_before = $2 WHERE day = $1", day, following)


async def _come_to_orgs(connection: asyncpg.Connection, day: date, first: UUID) -> None:
    following = await connection.fetchval(_NEXT_ORG, first, SCORES)
    at = quoted(day)
    await connection.execute(_SCORES.format(day=at, these=_between("s.org_id", first, following)))
    await connection.execute(building(f"AND {_between('org_id', first, following)}").format(day=at))
    await connection.execute("UPDATE prepared_days SET orgs_before = $2 WHERE day = $1", day, following)
    if following is None:
        await connection.execute("INSERT INTO kept_days (day, scored) VALUES ($1, true)", day)
        await connection.execute("DELETE FROM prepared_days")


def _between(column: str, first: UUID, following: UUID | None) -> str:
    """As SQL: the ids from one on and before another."""
    return f"{column} >= '{first}'" + (f" AND {column} < '{following}'" if following else "")
