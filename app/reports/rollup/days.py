"""Keeping days: their totals and scores built anew from the folded state, in one pass over the day rows."""

from datetime import date, timedelta

import asyncpg

from app.reports.rollup.score_steps import building
from app.reports.rollup.scratch import SUMS, listed, made_equal, quoted
from app.reports.rollup.spread import climb

MEMORY = "SET LOCAL work_mem = '256MB'"

_HOLDS = "since <= {day} AND before > {day}"

_EARNED = """
CREATE TEMP TABLE build_earned ON COMMIT DROP AS
SELECT user_id, (max(day) = {day})::int AS active_1, (max(day) > {day} - 7)::int AS active_7,
    (max(day) > {day} - 30)::int AS active_30,
    coalesce(sum(points) FILTER (WHERE day = {day}), 0)::bigint AS points_1,
    coalesce(sum(points) FILTER (WHERE day > {day} - 7), 0)::bigint AS points_7,
    coalesce(sum(points) FILTER (WHERE day > {day} - 30), 0)::bigint AS points_30,
    sum(points)::bigint AS total
FROM user_days WHERE day > {after} AND day <= {day} GROUP BY user_id
"""
_EARNINGS = ("active_1", "active_7", "active_30", *SUMS)

_OWN = f"""
CREATE TEMP TABLE build_own ON COMMIT DROP AS
SELECT s.org_id, count(*)::int AS members, (count(*) FILTER (WHERE s.activated))::int AS activated,
    {listed("coalesce(sum(e.{}), 0)::bigint AS {}", _EARNINGS)}
FROM standings AS s LEFT JOIN build_earned AS e ON e.user_id = s.person WHERE {_HOLDS} GROUP BY s.org_id
"""

_CLIMB = f"""
CREATE TEMP TABLE build_climb ON COMMIT DROP AS SELECT 0 AS level, org_id, {listed("{}")} FROM build_own
"""
_CLIMB_ON = f"""
INSERT INTO build_climb
SELECT %(next)s, e.superior_id, {listed("sum(c.{})")}
FROM build_climb AS c JOIN tree_edges AS e ON e.subordinate_id = c.org_id AND {_HOLDS}
WHERE c.level = %(level)s GROUP BY e.superior_id
"""

# Who stands in several orgs was added up at an org as often as ways lead to it; but once, that is too often.
_SEVERAL = f"""
CREATE TEMP TABLE build_reach ON COMMIT DROP AS
SELECT 0 AS level, s.person, s.org_id
FROM standings AS s
JOIN (SELECT person FROM standings WHERE {_HOLDS} GROUP BY person HAVING count(*) > 1) AS several USING (person)
WHERE {_HOLDS}
"""
_SEVERAL_ON = f"""
INSERT INTO build_reach
SELECT %(next)s, r.person, e.superior_id
FROM build_reach AS r JOIN tree_edges AS e ON e.subordinate_id = r.org_id AND {_HOLDS} WHERE r.level = %(level)s
"""
_TOO_OFTEN = f"""
CREATE TEMP TABLE build_too_often ON COMMIT DROP AS
SELECT r.org_id, sum(r.times) AS members, sum(CASE WHEN s.activated THEN r.times ELSE 0 END) AS activated,
    {listed("coalesce(sum(r.times * e.{}), 0) AS {}", _EARNINGS)}
FROM (SELECT org_id, person, count(*) - 1 AS times FROM build_reach GROUP BY org_id, person HAVING count(*) > 1) AS r
JOIN LATERAL (
    SELECT activated FROM standings AS s WHERE s.person = r.person AND {_HOLDS} LIMIT 1
) AS s ON true
LEFT JOIN build_earned AS e ON e.user_id = r.person
GROUP BY r.org_id
"""

_TOTALS = f"""
CREATE TEMP TABLE build_totals ON COMMIT DROP AS
SELECT org_id, {{day}} AS day, {listed("coalesce(max(own.{}), 0) AS own_{}")}, {listed("sum(part.{})::bigint AS {}")}
FROM (
    SELECT org_id, {listed("{}")} FROM build_climb
    UNION ALL SELECT org_id, {listed("-{}")} FROM build_too_often
) AS part
LEFT JOIN build_own AS own USING (org_id)
GROUP BY org_id
"""

_SCORES = f"""
CREATE TEMP TABLE build_scores ON COMMIT DROP AS
SELECT s.org_id, s.member_id, {{day}} AS day, s.person AS user_id,
    coalesce(e.points_7, 0) AS last_7, coalesce(e.total, 0) AS total
FROM standings AS s LEFT JOIN build_earned AS e ON e.user_id = s.person WHERE s.activated AND {_HOLDS}
"""

_OF_THE_DAY = "t.day = {day}"
_WRITE_TOTALS = made_equal(
    "org_totals", "org_id", f"org_id, day, {listed('own_{}')}, {listed('{}')}", "build_totals", of=_OF_THE_DAY
)
_WRITE_SCORES = made_equal(
    "org_scores",
    "org_id, member_id",
    "org_id, member_id, day, user_id, last_7, total",
    "build_scores",
    of=_OF_THE_DAY,
)

_BUILD_TABLES = ("build_earned", "build_own", "build_climb", "build_reach", "build_too_often", "build_totals")


async def keep_day(connection: asyncpg.Connection, day: date, *, scored: bool) -> None:
    """Build the totals (and with `scored` the scores) of a day from the folded state, and keep them from now on."""
    following = day + timedelta(days=1)
    for table in ("org_totals", "org_scores") if scored else ("org_totals",):
        await connection.execute("SELECT make_partition($1, $2, $3)", table, day, following)
    await build_day(connection, day, scored=scored)
    await connection.execute("DELETE FROM prepared_days WHERE day = $1", day)
    await connection.execute(
        "INSERT INTO kept_days (day, scored) VALUES ($1, $2) ON CONFLICT (day) DO UPDATE SET scored = excluded.scored",
        day,
        scored,
    )


async def build_day(connection: asyncpg.Connection, day: date, *, scored: bool = False) -> None:
    """Write a kept day's totals anew; with `scored` its scores too."""
    at = {"day": quoted(day)}
    await connection.execute(MEMORY)
    # Scores need the points of all days: one pass over the day rows is for both.
    await connection.execute(_EARNED.format(**at, after="'-infinity'" if scored else f"{at['day']} - 30"))
    await connection.execute("ANALYZE build_earned")
    await connection.execute(_OWN.format(**at))
    await climb(connection, _CLIMB.format(**at), _CLIMB_ON.format(**at))
    await climb(connection, _SEVERAL.format(**at), _SEVERAL_ON.format(**at))
    await connection.execute(_TOO_OFTEN.format(**at))
    await connection.execute(_TOTALS.format(**at))
    for statement in _WRITE_TOTALS:
        await connection.execute(statement.format(**at))
    if scored:
        await connection.execute(_SCORES.format(**at))
        for statement in _WRITE_SCORES:
            await connection.execute(statement.format(**at))
        await connection.execute("DROP TABLE build_scores")
        await connection.execute(f"DELETE FROM score_steps WHERE day = {at['day']}")
        await connection.execute(building().format(**at))
    await connection.execute(f"DROP TABLE {', '.join(_BUILD_TABLES)}")
