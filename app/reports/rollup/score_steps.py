"""Keeping the steps of large groups (`app.reports.score_steps`) in line with the scores."""

from app.reports.score_steps import BITS, LAST_7, TOTAL

LARGE = 1_000
"""Groups of this many ranked people and more are stepped, from the next time a day is built."""


def stepping(change: str) -> str:
    """A statement that changes scores, and with them the steps of the groups that have some.

    `change` returns org_id, day, was_7, was_total, now_7, now_total; of a score that comes or goes half of it is null.
    """
    return f"""
WITH changed AS ({change}),
steps AS (
    SELECT c.org_id, c.day, v.kind, v.step, sum(v.people) AS people
    FROM changed AS c, LATERAL (VALUES
        ({LAST_7}, c.was_7 >> {BITS[LAST_7]}, -1), ({LAST_7}, c.now_7 >> {BITS[LAST_7]}, 1),
        ({TOTAL}, c.was_total >> {BITS[TOTAL]}, -1), ({TOTAL}, c.now_total >> {BITS[TOTAL]}, 1)
    ) AS v (kind, step, people)
    WHERE v.step IS NOT NULL AND EXISTS (SELECT FROM score_steps AS k WHERE k.org_id = c.org_id AND k.day = c.day)
    GROUP BY c.org_id, c.day, v.kind, v.step HAVING sum(v.people) <> 0
)
INSERT INTO score_steps AS s (org_id, day, kind, step, people) SELECT org_id, day, kind, step, people FROM steps
ON CONFLICT (org_id, day, kind, step) DO UPDATE SET people = s.people + excluded.people
"""


def building(only: str = "") -> str:
    """A statement that makes the steps of a `{day}` from its scores; `only` (a condition on `org_id`) says of which."""
    return f"""
INSERT INTO score_steps (org_id, day, kind, step, people)
SELECT s.org_id, s.day, v.kind, v.step, count(*)
FROM org_scores AS s
JOIN (
    SELECT org_id FROM org_scores WHERE day = {{day}} {only} GROUP BY org_id HAVING count(*) >= {LARGE}
) AS large USING (org_id),
LATERAL (VALUES
    ({LAST_7}, s.last_7 >> {BITS[LAST_7]}), ({TOTAL}, s.total >> {BITS[TOTAL]})
) AS v (kind, step)
WHERE s.day = {{day}} GROUP BY s.org_id, s.day, v.kind, v.step
"""


DIFFERENT = f"""
SELECT 'score step' AS what, concat_ws(' ', org_id, {{day}}, kind, step) AS key, k.people::text AS kept,
    r.people::text AS recounted
FROM (SELECT org_id, kind, step, people FROM score_steps WHERE day = {{day}} AND people <> 0) AS k
FULL JOIN (
    SELECT s.org_id, v.kind, v.step, count(*) AS people
    FROM org_scores AS s, LATERAL (VALUES
        ({LAST_7}, s.last_7 >> {BITS[LAST_7]}), ({TOTAL}, s.total >> {BITS[TOTAL]})
    ) AS v (kind, step)
    WHERE s.day = {{day}} AND EXISTS (SELECT FROM score_steps AS k WHERE k.org_id = s.org_id AND k.day = s.day)
    GROUP BY s.org_id, v.kind, v.step
) AS r USING (org_id, kind, step)
WHERE k.people IS DISTINCT FROM r.people
"""
