"""Whether what is kept equals a recount: every difference, named.

All of it is looked at in one snapshot, while the service and the folder go on: what is kept is compared with what it
was folded from, and that with the sources, leaving out what waits in the very same snapshot. So nothing has to stand
still, and together the comparisons say that the totals are those of the sources.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date

import asyncpg

from app.reports.rollup import score_steps, sources
from app.reports.rollup.scratch import COUNTS, SUMS, WEIGHTS, listed, quoted
from app.reports.rollup.spread import climb


@dataclass(frozen=True, slots=True)
class Difference:
    """Something kept that is not what a recount gives; `None` where one of them has no such row."""

    what: str
    key: str
    kept: str | None
    recounted: str | None


_DAY_ROWS = """
SELECT 'day row' AS what, concat_ws(' ', user_id, day) AS key, nullif(kept::text, '(,)') AS kept,
    nullif(ledger::text, '(,)') AS recounted
FROM (
    SELECT user_id, day, (k.points, k.events) AS kept, (l.points, l.events) AS ledger
    FROM (
        SELECT user_id, day, sum(points) AS points, sum(events) AS events
        FROM (
            SELECT user_id, day, points, events FROM user_days
            UNION ALL
            SELECT w.user_id, w.day, w.points, 1
            FROM point_facts AS f, unnest(f.user_ids, f.days, f.points) AS w (user_id, day, points)
        ) AS rows GROUP BY user_id, day
    ) AS k
    FULL JOIN (
        SELECT user_id, day, sum(points) AS points, count(*) AS events FROM point_events GROUP BY user_id, day
    ) AS l USING (user_id, day)
    -- Of days before the ledger's first the partitions have been put away.
    WHERE (k.points, k.events) IS DISTINCT FROM (l.points, l.events) AND day >= (SELECT min(day) FROM point_events)
) AS compared
"""

_STANDING = "org_id, member_id, since, before, person, activated"
_NOT_WAITING = """
NOT EXISTS (SELECT FROM place_facts AS f WHERE f.org_id = found.org_id AND f.member_id = found.member_id)
"""
_STANDINGS = f"""
WITH recounted AS MATERIALIZED ({sources.standings()}),
too_much AS (SELECT {_STANDING} FROM standings EXCEPT SELECT {_STANDING} FROM recounted),
missing AS (SELECT {_STANDING} FROM recounted EXCEPT SELECT {_STANDING} FROM standings)
SELECT 'standing' AS what, concat_ws(' ', org_id, member_id, since) AS key,
    concat_ws(' ', before, person, activated) AS kept, NULL AS recounted
FROM too_much AS found WHERE {_NOT_WAITING}
UNION ALL
SELECT 'standing', concat_ws(' ', org_id, member_id, since), NULL, concat_ws(' ', before, person, activated)
FROM missing AS found WHERE {_NOT_WAITING}
"""

_EDGE = "subordinate_id, since, before, superior_id"
_EDGES = f"""
WITH recounted AS MATERIALIZED ({sources.edges()}),
too_much AS (SELECT {_EDGE} FROM tree_edges EXCEPT SELECT {_EDGE} FROM recounted),
missing AS (SELECT {_EDGE} FROM recounted EXCEPT SELECT {_EDGE} FROM tree_edges)
SELECT 'edge' AS what, concat_ws(' ', subordinate_id, since) AS key, concat_ws(' ', before, superior_id) AS kept,
    NULL AS recounted
FROM too_much AS found WHERE NOT EXISTS (SELECT FROM edge_facts AS f WHERE f.org_id = found.subordinate_id)
UNION ALL
SELECT 'edge', concat_ws(' ', subordinate_id, since), NULL, concat_ws(' ', before, superior_id)
FROM missing AS found WHERE NOT EXISTS (SELECT FROM edge_facts AS f WHERE f.org_id = found.subordinate_id)
"""

_HOLDS = "since <= {day} AND before > {day}"

# Every pair of an org with people and an org at or above it; then plainly the distinct people of each.
_UP = f"""
CREATE TEMP TABLE verify_up ON COMMIT DROP AS
SELECT DISTINCT 0 AS level, org_id, org_id AS above FROM standings WHERE {_HOLDS}
"""
_UP_ON = f"""
INSERT INTO verify_up
SELECT %(next)s, u.org_id, e.superior_id FROM verify_up AS u JOIN tree_edges AS e ON e.subordinate_id = u.above
WHERE u.level = %(level)s AND {_HOLDS}
"""
_PEOPLE = f"""
CREATE TEMP TABLE verify_people ON COMMIT DROP AS
SELECT s.org_id, s.person, 1 AS members, s.activated::int AS activated,
    coalesce(e.active_1, 0) AS active_1, coalesce(e.active_7, 0) AS active_7, coalesce(e.active_30, 0) AS active_30,
    coalesce(e.points_1, 0) AS points_1, coalesce(e.points_7, 0) AS points_7, coalesce(e.points_30, 0) AS points_30
FROM (SELECT DISTINCT org_id, person, activated FROM standings WHERE {_HOLDS}) AS s
LEFT JOIN (
    SELECT user_id, max((day = {{day}})::int) AS active_1, max((day > {{day}} - 7)::int) AS active_7, 1 AS active_30,
        sum(points) FILTER (WHERE day = {{day}}) AS points_1,
        sum(points) FILTER (WHERE day > {{day}} - 7) AS points_7, sum(points) AS points_30
    FROM user_days WHERE day BETWEEN {{day}} - 29 AND {{day}} GROUP BY user_id
) AS e ON s.activated AND e.user_id = s.person
"""
_TOTALS = f"""
SELECT 'total' AS what, concat_ws(' ', org_id, {{day}}) AS key, k::text AS kept, r::text AS recounted
FROM (
    SELECT org_id, ROW({listed("own_{}::bigint", COUNTS)}, {listed("own_{}::bigint", SUMS)},
        {listed("{}::bigint")}) AS k
    FROM org_totals WHERE day = {{day}}
) AS kept
FULL JOIN (
    SELECT subtree.org_id, ROW({listed("coalesce(own.{}, 0)::bigint")}, {listed("subtree.{}::bigint")}) AS r
    FROM (
        SELECT above AS org_id, {listed("sum({}) AS {}")}
        FROM (
            SELECT DISTINCT u.above, p.person, {listed("p.{}")}
            FROM verify_up AS u JOIN verify_people AS p USING (org_id)
        ) AS reached
        GROUP BY above
    ) AS subtree
    LEFT JOIN (SELECT org_id, {listed("sum({}) AS {}")} FROM verify_people GROUP BY org_id) AS own USING (org_id)
) AS recounted USING (org_id)
WHERE coalesce(k, {{nobody}}) IS DISTINCT FROM coalesce(r, {{nobody}})
"""
_NOBODY = f"ROW({', '.join(['0::bigint'] * 2 * len(WEIGHTS))})"

_SCORES = f"""
SELECT 'score' AS what, concat_ws(' ', org_id, member_id, {{day}}) AS key, k::text AS kept, r::text AS recounted
FROM (
    SELECT org_id, member_id, ROW(user_id, last_7, total) AS k FROM org_scores WHERE day = {{day}}
) AS kept
FULL JOIN (
    SELECT s.org_id, s.member_id, ROW(
        s.person,
        coalesce(sum(d.points) FILTER (WHERE d.day > {{day}} - 7), 0)::bigint,
        coalesce(sum(d.points), 0)::bigint
    ) AS r
    FROM standings AS s LEFT JOIN user_days AS d ON d.user_id = s.person AND d.day <= {{day}}
    WHERE s.activated AND {_HOLDS} GROUP BY s.org_id, s.member_id, s.person
) AS recounted USING (org_id, member_id)
WHERE k IS DISTINCT FROM r
"""


async def differences(connection: asyncpg.Connection, since: date | None = None) -> AsyncIterator[Difference]:
    """Every difference between what is kept and a recount; of the days kept from `since` on, or of all."""
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute("SET LOCAL work_mem = '256MB'")
        days = await connection.fetch(
            "SELECT day, scored FROM kept_days WHERE day >= $1 ORDER BY day", since or date.min
        )
        for statement in (_DAY_ROWS, _STANDINGS, _EDGES):
            async for row in connection.cursor(statement):
                yield Difference(*row)
        for kept in days:
            at = {"day": quoted(kept["day"])}
            await climb(connection, _UP.format(**at), _UP_ON.format(**at))
            await connection.execute(_PEOPLE.format(**at))
            await connection.execute("ANALYZE verify_up, verify_people")
            async for row in connection.cursor(_TOTALS.format(**at, nobody=_NOBODY)):
                yield Difference(*row)
            await connection.execute("DROP TABLE verify_up, verify_people")
            if kept["scored"]:
                for statement in (_SCORES, score_steps.DIFFERENT):
                    async for row in connection.cursor(statement.format(**at)):
                        yield Difference(*row)
