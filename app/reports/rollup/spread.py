"""Adding what people weigh to the totals of every org that counts them, each once."""

import asyncpg

from app.reports.rollup.scratch import WEIGHTS, count, listed

_MOST_LEVELS = 200

# Who stands where, how much they weigh, and in how many orgs they stand.
_SPOTS = """
(SELECT day, side, person, org_id, count(*) OVER (PARTITION BY day, side, person) AS orgs FROM fold_spots) AS s
JOIN fold_weights AS w USING (day, side, person)
"""

_OWN = f"""
INSERT INTO fold_totals
SELECT s.day, s.org_id, {listed("sum(w.{})")}, {listed("0", WEIGHTS)} FROM {_SPOTS} GROUP BY s.day, s.org_id
"""

# Who stands in one org alone: the sums climb.
_CLIMB = f"""
INSERT INTO fold_climb
SELECT 0, s.day, s.org_id, {listed("sum(w.{})")} FROM {_SPOTS} WHERE s.orgs = 1 GROUP BY s.day, s.org_id
"""
_CLIMB_ON = f"""
INSERT INTO fold_climb
SELECT %(next)s, c.day, e.superior_id, {listed("sum(c.{})")}
FROM fold_climb AS c JOIN tree_edges AS e ON e.subordinate_id = c.org_id AND e.since <= c.day AND e.before > c.day
WHERE c.level = %(level)s GROUP BY c.day, e.superior_id
"""
_CLIMBED = f"""
INSERT INTO fold_totals SELECT day, org_id, {listed("0", WEIGHTS)}, {listed("{}")} FROM fold_climb
"""

# Who stands in several: each climbs alone, and an org reached by two ways is reached once.
_REACH = f"""
INSERT INTO fold_reach SELECT 0, s.day, s.side, s.person, s.org_id FROM {_SPOTS} WHERE s.orgs > 1
"""
_REACH_ON = """
INSERT INTO fold_reach
SELECT DISTINCT %(next)s, r.day, r.side, r.person, e.superior_id
FROM fold_reach AS r JOIN tree_edges AS e ON e.subordinate_id = r.org_id AND e.since <= r.day AND e.before > r.day
WHERE r.level = %(level)s ON CONFLICT DO NOTHING
"""
_REACHED = f"""
INSERT INTO fold_totals
SELECT r.day, r.org_id, {listed("0", WEIGHTS)}, {listed("sum(w.{})")}
FROM fold_reach AS r JOIN fold_weights AS w USING (day, side, person) GROUP BY r.day, r.org_id
"""

_FLUSH = f"""
INSERT INTO org_totals AS t (org_id, day, {listed("own_{}")}, {listed("{}")})
SELECT org_id, day, {listed("sum(own_{})")}, {listed("sum({})")}
FROM fold_totals GROUP BY org_id, day
HAVING {listed("sum(own_{}) <> 0", separator=" OR ")} OR {listed("sum({}) <> 0", separator=" OR ")}
ON CONFLICT (org_id, day) DO UPDATE SET
    {listed("own_{} = t.own_{} + excluded.own_{}")}, {listed("{} = t.{} + excluded.{}")}
"""


async def spread(connection: asyncpg.Connection) -> None:
    """Add what `fold_spots` and `fold_weights` hold to the totals, along the tree as folded so far."""
    if not await count(connection, _OWN):
        return
    for start, onward, arrived in ((_CLIMB, _CLIMB_ON, _CLIMBED), (_REACH, _REACH_ON, _REACHED)):
        await climb(connection, start, onward)
        await connection.execute(arrived)
    await connection.execute(_FLUSH)


async def climb(connection: asyncpg.Connection, start: str, onward: str) -> None:
    """Run `start` and then `onward` from each `level` to the `next`, until a level is empty."""
    level, found = 0, await count(connection, start)
    while found:
        if level > _MOST_LEVELS:
            raise RuntimeError("the folded tree has no top")
        found = await count(connection, onward % {"level": level, "next": level + 1})
        level += 1
