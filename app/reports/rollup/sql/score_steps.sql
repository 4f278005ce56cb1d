-- Score steps: the number of people of a large group in each step of scores (app/reports/score_steps.py).
--
-- In: org_scores. Out: score_steps. `score_steps_of(last_7, total)` returns the steps of one score.
-- Invariant: on a day, a group has either no steps or the steps of all its scores.

-- name: apply
-- Update the steps with the staged scores, which belong to groups with steps only.
INSERT INTO score_steps AS s (org_id, day, kind, step, people)
SELECT c.org_id, c.day, v.kind, v.step, sum(c.people)
FROM (
    SELECT org_id, day, old_7 AS last_7, old_total AS total, -1 AS people FROM staged_scores WHERE old_7 IS NOT NULL
    UNION ALL
    SELECT org_id, day, new_7, new_total, 1 FROM staged_scores WHERE new_7 IS NOT NULL
) AS c, score_steps_of(c.last_7, c.total) AS v
GROUP BY c.org_id, c.day, v.kind, v.step HAVING sum(c.people) <> 0
ON CONFLICT (org_id, day, kind, step) DO UPDATE SET people = s.people + excluded.people

-- name: clear
DELETE FROM score_steps WHERE day = $1

-- name: build
-- $1: the day. Only orgs from $2 on and before $3 (NULL: to the end) with at least $4 scores get steps.
INSERT INTO score_steps (org_id, day, kind, step, people)
SELECT s.org_id, s.day, v.kind, v.step, count(*)
FROM org_scores AS s
JOIN (
    SELECT org_id FROM org_scores WHERE day = $1 AND org_id >= $2 AND ($3::uuid IS NULL OR org_id < $3)
    GROUP BY org_id HAVING count(*) >= $4
) AS large USING (org_id),
score_steps_of(s.last_7, s.total) AS v
WHERE s.day = $1 GROUP BY s.org_id, s.day, v.kind, v.step
