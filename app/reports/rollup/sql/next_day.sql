-- The next day, prepared from the previous day in slices, so that cycles can run between two slices.
--
-- In: org_totals and org_scores of the previous day, user_days, memberships.
-- Out: org_totals, org_scores and score_steps of the day; its progress in prepared_days.
-- Invariant: people from `people_before` on (all people, before the first slice) still have the windows of the previous
-- day (`window_end`), and zero in the window of one day. Orgs from `orgs_before` on have no scores yet. NULL means that
-- all of them are processed.
-- The day is $1 in every statement. A slice is the ids from $2 on and before $3 (NULL: to the end).

-- name: progress
SELECT people_before, orgs_before FROM prepared_days WHERE day = $1

-- name: can_copy
-- Whether the previous day is stored and has the same people and the same tree: no row begins or ends with this day.
SELECT EXISTS (SELECT FROM stored_days WHERE day = $1::date - 1)
    AND NOT EXISTS (SELECT FROM memberships WHERE since = $1 OR before = $1)
    AND NOT EXISTS (SELECT FROM tree_edges WHERE since = $1 OR before = $1)

-- name: clear_totals
DELETE FROM org_totals WHERE day = $1

-- name: clear_scores
DELETE FROM org_scores WHERE day = $1

-- name: copy_totals
INSERT INTO org_totals (
    org_id, day,
    own_members, own_activated, own_active_1, own_active_7, own_active_30, own_points_1, own_points_7, own_points_30,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT org_id, $1::date,
    own_members, own_activated, 0, own_active_7, own_active_30, 0, own_points_7, own_points_30,
    members, activated, 0, active_7, active_30, 0, points_7, points_30
FROM org_totals WHERE day = $1::date - 1 ORDER BY org_id

-- name: begin
-- $2: the smallest id.
INSERT INTO prepared_days (day, people_before, orgs_before) VALUES ($1, $2, $2)

-- name: delete_preparation
DELETE FROM prepared_days

-- name: slice_of_people
-- The first person after a slice. $1: the beginning of the slice; $2: the number of people.
SELECT person FROM memberships WHERE person > $1 ORDER BY person OFFSET $2 LIMIT 1

-- name: slice_of_orgs
-- The first org after a slice. $1: the beginning of the slice; $2: the number of member rows.
SELECT org_id FROM memberships WHERE org_id > $1 ORDER BY org_id OFFSET $2 LIMIT 1

-- name: stage_changes
-- The change of the figures of people with points on a day that leaves a window, or on the day itself.
INSERT INTO staged_changes (
    day, side, person, linked, members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT $1::date, 0, c.user_id, true, 0, 0,
    c.new, (NOT d.in_7)::int * (c.new - c.left_7), (NOT d.in_30)::int * (c.new - c.left_30),
    c.points, c.points - c.points_7, c.points - c.points_30
FROM (
    SELECT user_id,
        count(*) FILTER (WHERE day = $1) AS new, coalesce(sum(points) FILTER (WHERE day = $1), 0) AS points,
        count(*) FILTER (WHERE day = $1::date - 7) AS left_7,
        coalesce(sum(points) FILTER (WHERE day = $1::date - 7), 0) AS points_7,
        count(*) FILTER (WHERE day = $1::date - 30) AS left_30,
        coalesce(sum(points) FILTER (WHERE day = $1::date - 30), 0) AS points_30
    FROM user_days
    WHERE day IN ($1, $1::date - 7, $1::date - 30) AND user_id >= $2 AND ($3::uuid IS NULL OR user_id < $3)
    GROUP BY user_id
) AS c,
LATERAL (
    SELECT EXISTS (
        SELECT FROM user_days AS d WHERE d.user_id = c.user_id AND d.day BETWEEN $1::date - 6 AND $1::date - 1
    ) AS in_7, EXISTS (
        SELECT FROM user_days AS d WHERE d.user_id = c.user_id AND d.day BETWEEN $1::date - 29 AND $1::date - 1
    ) AS in_30
) AS d

-- name: finish_people
-- $2: the first person after the slice.
UPDATE prepared_days SET people_before = $2 WHERE day = $1

-- name: insert_scores
-- The scores of the previous day minus the points that leave the window. A member without a score on the previous day
-- gets one from their day rows.
INSERT INTO org_scores (org_id, member_id, day, user_id, last_7, total)
SELECT s.org_id, s.member_id, $1::date, s.person, a.last_7 + c.points - c.points_7, a.total + c.points
FROM memberships AS s
LEFT JOIN org_scores AS o
    ON o.org_id = s.org_id AND o.member_id = s.member_id AND o.day = $1::date - 1 AND o.user_id = s.person
LEFT JOIN LATERAL (
    SELECT sum(d.points) FILTER (WHERE d.day > $1::date - 8) AS last_7, sum(d.points) AS total
    FROM user_days AS d WHERE o.user_id IS NULL AND d.user_id = s.person AND d.day < $1
) AS d ON o.user_id IS NULL
LEFT JOIN user_days AS here ON here.user_id = s.person AND here.day = $1
LEFT JOIN user_days AS left_7 ON left_7.user_id = s.person AND left_7.day = $1::date - 7,
LATERAL (SELECT coalesce(o.last_7, d.last_7, 0) AS last_7, coalesce(o.total, d.total, 0) AS total) AS a,
LATERAL (SELECT coalesce(here.points, 0) AS points, coalesce(left_7.points, 0) AS points_7) AS c
WHERE s.activated AND s.since <= $1 AND s.before > $1 AND s.org_id >= $2 AND ($3::uuid IS NULL OR s.org_id < $3)
ORDER BY s.org_id, s.member_id

-- name: finish_orgs
-- $2: the first org after the slice.
UPDATE prepared_days SET orgs_before = $2 WHERE day = $1

-- name: store_day
INSERT INTO stored_days (day, scored) VALUES ($1, true)
