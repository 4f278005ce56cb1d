-- Points: from the delta rows of accepted batches (`point_deltas`) to day rows, scores and staged changes.
--
-- In: point_deltas (one row for each batch), staged_days, the rolled-up memberships.
-- Out: user_days, org_scores, staged_changes (side 0), staged_scores.
-- Invariant: day rows plus waiting delta rows equal the ledger. A batch is taken exactly once, because `take` deletes it.

-- name: take
-- $1: the largest number of batches.
WITH taken AS (
    DELETE FROM point_deltas WHERE id IN (SELECT id FROM point_deltas ORDER BY id LIMIT $1)
    RETURNING user_ids, days, points
)
INSERT INTO staged_points (user_id, day, points, events)
SELECT event.user_id, event.day, sum(event.points), count(*)
FROM taken, unnest(taken.user_ids, taken.days, taken.points) AS event (user_id, day, points)
GROUP BY event.user_id, event.day

-- name: months
SELECT make_partition('user_days', month, (month + interval '1 month')::date)
FROM (
    SELECT DISTINCT date_trunc('month', day)::date AS month FROM (SELECT DISTINCT day FROM staged_points) AS days
) AS months

-- name: stage_changes
-- A window gains the points of its days. A user becomes active in a window with the first event in it. `latest` is the
-- user's latest day with points within the 30 days, read from the day rows before these points are added.
INSERT INTO staged_changes (
    day, side, person, linked, members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT earned.day, 0, earned.user_id, true, 0, 0,
    (earned.on_1 AND (latest.day IS NULL OR latest.day < earned.day))::int,
    (earned.on_7 AND (latest.day IS NULL OR latest.day <= earned.last - 7))::int,
    (latest.day IS NULL)::int,
    earned.points_1, earned.points_7, earned.points_30
FROM (
    SELECT k.day, w.last, p.user_id, bool_or(p.day = k.day) AS on_1, bool_or(p.day > w.last - 7) AS on_7,
        coalesce(sum(p.points::float8) FILTER (WHERE p.day = k.day), 0) AS points_1,
        coalesce(sum(p.points::float8) FILTER (WHERE p.day > w.last - 7), 0) AS points_7,
        sum(p.points::float8) AS points_30
    FROM staged_points AS p JOIN staged_days AS k ON k.day BETWEEN p.day AND p.day + 30,
    LATERAL (SELECT window_end(k.day, p.user_id, k.people_before)) AS w (last)
    WHERE p.day BETWEEN w.last - 29 AND w.last
    GROUP BY k.day, w.last, p.user_id
) AS earned
LEFT JOIN LATERAL (
    SELECT d.day FROM user_days AS d
    WHERE d.user_id = earned.user_id AND d.day BETWEEN earned.last - 29 AND earned.last
    ORDER BY d.day DESC LIMIT 1
) AS latest ON true

-- name: add_day_rows
INSERT INTO user_days AS d (user_id, day, points, events)
SELECT user_id, day, points, events FROM staged_points
ON CONFLICT (user_id, day) DO UPDATE SET points = d.points + excluded.points, events = d.events + excluded.events

-- name: scored_days
SELECT day FROM staged_days WHERE scored AND day >= (SELECT min(day) FROM staged_points)

-- name: add_scores
-- $1: one day, so that PostgreSQL reads only its partition. For every changed score the statement looks up whether the
-- group has score steps. With the order of the primary key this is one descent of the index; without an order the
-- planner scans score_steps for each score.
WITH earned AS (
    SELECT user_id, sum(points::float8)::bigint AS total,
        coalesce(sum(points::float8) FILTER (WHERE day > $1::date - 7), 0)::bigint AS last_7
    FROM staged_points WHERE day <= $1 GROUP BY user_id
),
changed AS (
    UPDATE org_scores AS o SET last_7 = o.last_7 + earned.last_7, total = o.total + earned.total
    FROM earned
    JOIN memberships AS s ON s.person = earned.user_id AND s.activated AND s.since <= $1 AND s.before > $1
    WHERE o.org_id = s.org_id AND o.member_id = s.member_id AND o.day = $1
    RETURNING o.org_id, o.day, OLD.last_7 AS old_7, OLD.total AS old_total, NEW.last_7 AS new_7, NEW.total AS new_total
)
INSERT INTO staged_scores (org_id, day, old_7, old_total, new_7, new_total)
SELECT c.org_id, c.day, c.old_7, c.old_total, c.new_7, c.new_total
FROM changed AS c,
LATERAL (
    SELECT FROM score_steps AS k WHERE k.org_id = c.org_id AND k.day = c.day ORDER BY k.kind, k.step LIMIT 1
) AS stepped
