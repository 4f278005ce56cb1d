"""Folding people: where they stand and who they are, from the sources to standings, totals and scores."""

import asyncpg

from app.reports.rollup import sources
from app.reports.rollup.score_steps import stepping
from app.reports.rollup.scratch import ARRIVING, LEAVING, count, last_day

_TAKE = """
WITH taken AS (DELETE FROM place_facts RETURNING org_id, member_id)
INSERT INTO fold_members SELECT DISTINCT org_id, member_id FROM taken
"""

_COLUMNS = "org_id, member_id, since, before, person, activated"

_CAME = f"INSERT INTO fold_came {sources.standings('JOIN fold_members USING (org_id, member_id)')}"
_GONE = f"""
INSERT INTO fold_gone
SELECT {_COLUMNS} FROM standings JOIN fold_members USING (org_id, member_id)
EXCEPT SELECT {_COLUMNS} FROM fold_came
"""
_NEWS = f"""
DELETE FROM fold_came AS c USING standings AS s
WHERE ({", ".join(f"c.{name}" for name in _COLUMNS.split(", "))})
    = ({", ".join(f"s.{name}" for name in _COLUMNS.split(", "))})
"""

# Whoever is in a row that goes or comes is taken off the totals of those days where they stood, with all of what
# they weigh, and put on where they stand: what did not change cancels out.
_WEIGHTS = f"""
WITH touched AS (
    SELECT DISTINCT k.day, {last_day("r.person")} AS last, r.person, r.activated
    FROM (SELECT * FROM fold_gone UNION ALL SELECT * FROM fold_came) AS r
    JOIN fold_days AS k ON k.day >= r.since AND k.day < r.before
),
weighed AS (
    SELECT t.day, t.person, 1 AS members, t.activated::int AS activated,
        count(*) FILTER (WHERE d.day = t.day) AS active_1,
        least(count(*) FILTER (WHERE d.day > t.last - 7), 1) AS active_7,
        least(count(d.day), 1) AS active_30,
        coalesce(sum(d.points) FILTER (WHERE d.day = t.day), 0) AS points_1,
        coalesce(sum(d.points) FILTER (WHERE d.day > t.last - 7), 0) AS points_7,
        coalesce(sum(d.points), 0) AS points_30
    FROM touched AS t
    LEFT JOIN user_days AS d ON t.activated AND d.user_id = t.person AND d.day BETWEEN t.last - 29 AND t.last
    GROUP BY t.day, t.person, t.activated
)
INSERT INTO fold_weights
SELECT day, {LEAVING}, person, -members, -activated, -active_1, -active_7, -active_30,
    -points_1, -points_7, -points_30 FROM weighed
UNION ALL
SELECT day, {ARRIVING}, person, members, activated, active_1, active_7, active_30,
    points_1, points_7, points_30 FROM weighed
"""

_SPOTS = """
INSERT INTO fold_spots
SELECT DISTINCT w.day, w.side, w.person, s.org_id
FROM fold_weights AS w JOIN standings AS s ON s.person = w.person AND s.since <= w.day AND s.before > w.day
WHERE w.side = {side}
"""

_REMOVE = """
DELETE FROM standings AS s USING fold_gone AS g
WHERE s.org_id = g.org_id AND s.member_id = g.member_id AND s.since = g.since
"""
_ADD = f"INSERT INTO standings ({_COLUMNS}) SELECT {_COLUMNS} FROM fold_came"

_SCORES_GONE = stepping("""
DELETE FROM org_scores AS o USING fold_gone AS g, fold_days AS k
WHERE g.activated AND k.scored AND k.day >= g.since AND k.day < g.before
  AND o.org_id = g.org_id AND o.member_id = g.member_id AND o.day = k.day
RETURNING o.org_id, o.day, o.last_7 AS was_7, o.total AS was_total, NULL::bigint AS now_7, NULL::bigint AS now_total
""")
# There is such a score already only where the standings were damaged, or where a rebuild has mended them and has not
# come to the day yet: neither is to stop the folder.
_SCORES_CAME = stepping("""
INSERT INTO org_scores AS o (org_id, member_id, day, user_id, last_7, total)
SELECT c.org_id, c.member_id, k.day, c.person,
    coalesce(sum(d.points) FILTER (WHERE d.day > k.day - 7), 0), coalesce(sum(d.points), 0)
FROM fold_came AS c
JOIN fold_days AS k ON k.scored AND k.day >= c.since AND k.day < c.before
    AND (k.orgs_before IS NULL OR c.org_id < k.orgs_before)
LEFT JOIN user_days AS d ON d.user_id = c.person AND d.day <= k.day
WHERE c.activated GROUP BY c.org_id, c.member_id, k.day, c.person
ON CONFLICT (org_id, member_id, day)
    DO UPDATE SET user_id = excluded.user_id, last_7 = excluded.last_7, total = excluded.total
RETURNING o.org_id, o.day, OLD.last_7 AS was_7, OLD.total AS was_total, NEW.last_7 AS now_7, NEW.total AS now_total
""")


async def fold_people(connection: asyncpg.Connection) -> bool:
    """Take place facts; bring standings and scores in line with the sources, and note what is to be spread.

    Gives whether anything had changed.
    """
    if not await count(connection, _TAKE):
        return False
    await connection.execute(_CAME)
    gone = await count(connection, _GONE)
    await connection.execute(_NEWS)
    if not gone and not await connection.fetchval("SELECT EXISTS (SELECT FROM fold_came)"):
        return False
    await connection.execute(_WEIGHTS)
    await connection.execute(_SPOTS.format(side=LEAVING))
    await connection.execute(_REMOVE)
    await connection.execute(_ADD)
    await connection.execute(_SPOTS.format(side=ARRIVING))
    await connection.execute(_SCORES_GONE)
    await connection.execute(_SCORES_CAME)
    return True
