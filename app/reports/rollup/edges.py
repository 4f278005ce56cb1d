"""Folding edges: a subtree is taken off the totals above it, or put on, whole.

What an org above gains or loses is the subtree's own total, less those of its people who also stand elsewhere below
that org: they are counted there already. So the cost is that of the people of the subtree who stand outside of it as
well, and not of the nation.
"""

from datetime import date
from uuid import UUID

import asyncpg

from app.reports.rollup import sources
from app.reports.rollup.days import build_day
from app.reports.rollup.scratch import WEIGHTS, count, last_day, listed, quoted
from app.reports.rollup.spread import climb

# With more moves than this in one fold it is cheaper to build the days anew.
MOVES = 100

_TAKE = """
WITH taken AS (DELETE FROM edge_facts RETURNING org_id) INSERT INTO fold_orgs SELECT DISTINCT org_id FROM taken
"""
_FRESH = f"""
INSERT INTO fold_edges {sources.edges("AND c.subordinate_id IN (SELECT org_id FROM fold_orgs)")}
"""

_MOVED = """
SELECT k.day, o.org_id, held.superior_id AS old, comes.superior_id AS new
FROM fold_orgs AS o CROSS JOIN fold_days AS k
LEFT JOIN tree_edges AS held ON held.subordinate_id = o.org_id AND held.since <= k.day AND held.before > k.day
LEFT JOIN fold_edges AS comes ON comes.subordinate_id = o.org_id AND comes.since <= k.day AND comes.before > k.day
WHERE held.superior_id IS DISTINCT FROM comes.superior_id
"""

_REMOVE = "DELETE FROM tree_edges WHERE subordinate_id IN (SELECT org_id FROM fold_orgs)"
_ADD = """
INSERT INTO tree_edges (subordinate_id, since, before, superior_id)
SELECT subordinate_id, since, before, superior_id FROM fold_edges
"""

# The tree of a day, less the edges that are cut at this moment.
_STANDS = "e.since <= {day} AND e.before > {day}"
_UNCUT = "NOT EXISTS (SELECT FROM fold_cut AS x WHERE x.day = {day} AND x.org_id = e.subordinate_id)"

_ABOVE = f"SELECT superior_id FROM tree_edges AS e WHERE subordinate_id = '{{org}}' AND {_STANDS} AND {_UNCUT}"

_BELOW = "INSERT INTO fold_below VALUES (0, '{org}')"
_BELOW_ON = f"""
INSERT INTO fold_below
SELECT %(next)s, e.subordinate_id FROM fold_below AS b JOIN tree_edges AS e ON e.superior_id = b.org_id
WHERE b.level = %(level)s AND {_STANDS} AND {_UNCUT} ON CONFLICT DO NOTHING
"""

_OUTSIDE = """
INSERT INTO fold_outside
SELECT DISTINCT 0, elsewhere.person, elsewhere.org_id
FROM fold_below AS b
JOIN standings AS here ON here.org_id = b.org_id AND here.since <= {day} AND here.before > {day}
JOIN standings AS elsewhere ON elsewhere.person = here.person AND elsewhere.since <= {day} AND elsewhere.before > {day}
WHERE NOT EXISTS (SELECT FROM fold_below AS x WHERE x.org_id = elsewhere.org_id)
"""
_OUTSIDE_ON = f"""
INSERT INTO fold_outside
SELECT DISTINCT %(next)s, o.person, e.superior_id
FROM fold_outside AS o JOIN tree_edges AS e ON e.subordinate_id = o.org_id
WHERE o.level = %(level)s AND {_STANDS} AND {_UNCUT} ON CONFLICT DO NOTHING
"""

_SHIFT = f"""
WITH weighed AS (
    SELECT o.person, 1 AS members,
        max(s.activated::int) AS activated,
        max((d.day = {{day}})::int) AS active_1, max((d.day > o.last - 7)::int) AS active_7,
        max((d.day IS NOT NULL)::int) AS active_30,
        sum(d.points) FILTER (WHERE d.day = {{day}}) AS points_1,
        sum(d.points) FILTER (WHERE d.day > o.last - 7) AS points_7, sum(d.points) AS points_30
    FROM (
        SELECT DISTINCT x.person, {last_day("x.person")} AS last
        FROM fold_outside AS x JOIN fold_days AS k ON k.day = {{day}}
    ) AS o
    JOIN LATERAL (
        SELECT s.activated FROM standings AS s WHERE s.person = o.person AND s.since <= {{day}} AND s.before > {{day}}
        LIMIT 1
    ) AS s ON true
    LEFT JOIN user_days AS d ON s.activated AND d.user_id = o.person AND d.day BETWEEN o.last - 29 AND o.last
    GROUP BY o.person
),
counted AS (
    SELECT o.org_id, {listed("coalesce(sum(w.{}), 0) AS {}")}
    FROM fold_outside AS o JOIN weighed AS w USING (person) WHERE o.org_id = ANY ('{{{{{{chain}}}}}}') GROUP BY o.org_id
)
INSERT INTO org_totals AS t (org_id, day, {listed("own_{}")}, {listed("{}")})
SELECT chain.org_id, {{day}}, {listed("0", WEIGHTS)}, {listed("{sign} * (m.{} - coalesce(c.{}, 0))")}
FROM unnest('{{{{{{chain}}}}}}'::uuid[]) AS chain (org_id)
JOIN org_totals AS m ON m.org_id = '{{org}}' AND m.day = {{day}}
LEFT JOIN counted AS c ON c.org_id = chain.org_id
ON CONFLICT (org_id, day) DO UPDATE SET {listed("{} = t.{} + excluded.{}")}
"""


async def fold_edges(connection: asyncpg.Connection) -> bool:
    """Take edge facts; bring the folded tree in line with the sources and shift the totals of what moved."""
    if not await count(connection, _TAKE):
        return False
    await connection.execute(_FRESH)
    moved = await connection.fetch(_MOVED)
    if len(moved) > MOVES:
        await _replace(connection)
        for day in sorted({row["day"] for row in moved}):
            await build_day(connection, day)
            await connection.execute("UPDATE prepared_days SET people_before = NULL WHERE day = $1", day)
        return True
    # Every edge that goes is cut before any comes, so that what stands in between is a tree at every moment.
    for row in moved:
        if row["old"] is not None:
            await _shift(connection, row["day"], row["org_id"], -1)
        await connection.execute("INSERT INTO fold_cut VALUES ($1, $2)", row["day"], row["org_id"])
    await _replace(connection)
    for row in moved:
        await connection.execute("DELETE FROM fold_cut WHERE day = $1 AND org_id = $2", row["day"], row["org_id"])
        if row["new"] is not None:
            await _shift(connection, row["day"], row["org_id"], 1)
    return True


async def _replace(connection: asyncpg.Connection) -> None:
    await connection.execute(_REMOVE)
    await connection.execute(_ADD)


async def _shift(connection: asyncpg.Connection, day: date, org: UUID, sign: int) -> None:
    """Add (or, with a sign of -1, take away) the subtree of an org to the totals of every org above it on a day."""
    at = {"day": quoted(day)}
    chain: list[UUID] = []
    above: UUID | None = org
    while (above := await connection.fetchval(_ABOVE.format(org=above, **at))) is not None and above not in chain:
        chain.append(above)
    await connection.execute("TRUNCATE fold_below, fold_outside")
    await climb(connection, _BELOW.format(org=org), _BELOW_ON.format(**at))
    await climb(connection, _OUTSIDE.format(**at), _OUTSIDE_ON.format(**at))
    await connection.execute(_SHIFT.format(**at, org=org, sign=sign, chain=",".join(str(each) for each in chain)))
