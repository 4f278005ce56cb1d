-- Verification: every stored row that differs from a recount, and every missing row.
--
-- Out of each statement: the kind of row, its key, the stored and the recounted values as text (NULL: no such row).
-- Delta rows that wait in the snapshot are taken into account, so that the rollup can run meanwhile.

-- name: day_rows
-- Day rows plus waiting points, compared with the ledger. Days before the first day of the ledger are archived.
SELECT 'day row' AS kind, concat_ws(' ', user_id, day) AS key, nullif(stored::text, '(,)') AS stored,
    nullif(ledger::text, '(,)') AS recounted
FROM (
    SELECT user_id, day, (k.points, k.events) AS stored, (l.points, l.events) AS ledger
    FROM (
        SELECT user_id, day, sum(points) AS points, sum(events) AS events
        FROM (
            SELECT user_id, day, points, events FROM user_days
            UNION ALL
            SELECT w.user_id, w.day, w.points, 1
            FROM point_deltas AS f, unnest(f.user_ids, f.days, f.points) AS w (user_id, day, points)
        ) AS rows GROUP BY user_id, day
    ) AS k
    FULL JOIN (
        SELECT user_id, day, sum(points) AS points, count(*) AS events FROM point_events GROUP BY user_id, day
    ) AS l USING (user_id, day)
    WHERE (k.points, k.events) IS DISTINCT FROM (l.points, l.events) AND day >= (SELECT min(day) FROM point_events)
) AS compared

-- name: memberships
-- Members that a waiting delta row names are left out.
WITH changed_members AS (SELECT org_id, member_id FROM member_deltas),
changed_users AS (SELECT user_id FROM user_deltas),
-- include: changed_members
,
-- include: scope_all_members
-- include: source_memberships
,
recounted AS MATERIALIZED (SELECT org_id, member_id, since, before, person, activated FROM source_memberships),
superfluous AS (
    SELECT org_id, member_id, since, before, person, activated FROM memberships
    EXCEPT SELECT org_id, member_id, since, before, person, activated FROM recounted
),
missing AS (
    SELECT org_id, member_id, since, before, person, activated FROM recounted
    EXCEPT SELECT org_id, member_id, since, before, person, activated FROM memberships
)
SELECT 'membership' AS kind, concat_ws(' ', org_id, member_id, since) AS key,
    concat_ws(' ', before, person, activated) AS stored, NULL AS recounted
FROM superfluous AS d
WHERE NOT EXISTS (SELECT FROM waiting_members AS f WHERE f.org_id = d.org_id AND f.member_id = d.member_id)
UNION ALL
SELECT 'membership', concat_ws(' ', org_id, member_id, since), NULL, concat_ws(' ', before, person, activated)
FROM missing AS d
WHERE NOT EXISTS (SELECT FROM waiting_members AS f WHERE f.org_id = d.org_id AND f.member_id = d.member_id)

-- name: edges
-- Orgs that a waiting delta row names are left out.
WITH
-- include: certified_edges
,
superfluous AS (
    SELECT subordinate_id, since, before, superior_id FROM tree_edges
    EXCEPT SELECT subordinate_id, since, before, superior_id FROM certified_edges
),
missing AS (
    SELECT subordinate_id, since, before, superior_id FROM certified_edges
    EXCEPT SELECT subordinate_id, since, before, superior_id FROM tree_edges
)
SELECT 'edge' AS kind, concat_ws(' ', subordinate_id, since) AS key, concat_ws(' ', before, superior_id) AS stored,
    NULL AS recounted
FROM superfluous AS d WHERE NOT EXISTS (SELECT FROM edge_deltas AS f WHERE f.org_id = d.subordinate_id)
UNION ALL
SELECT 'edge', concat_ws(' ', subordinate_id, since), NULL, concat_ws(' ', before, superior_id)
FROM missing AS d WHERE NOT EXISTS (SELECT FROM edge_deltas AS f WHERE f.org_id = d.subordinate_id)

-- name: stored_days
-- The stored days from $1 on.
SELECT day, scored FROM stored_days WHERE day >= $1 ORDER BY day

-- name: superiors_first
-- Every pair of an org with people and one of its superiors, or the org itself. $1: the day.
CREATE TEMP TABLE recount_superiors ON COMMIT DROP AS
SELECT DISTINCT 0 AS level, org_id, org_id AS superior_id FROM memberships WHERE since <= $1 AND before > $1

-- name: superiors_next
-- $2: the level of the subordinates.
INSERT INTO recount_superiors
SELECT $2::int + 1, u.org_id, e.superior_id
FROM recount_superiors AS u JOIN tree_edges AS e ON e.subordinate_id = u.superior_id
WHERE u.level = $2::int AND e.since <= $1 AND e.before > $1

-- name: people
-- The distinct people of each org, and the figures of users. $1: the day.
CREATE TEMP TABLE recount_people ON COMMIT DROP AS
SELECT org_id, person, bool_or(activated) AS activated
FROM memberships WHERE since <= $1 AND before > $1 GROUP BY org_id, person

-- name: earned
CREATE TEMP TABLE recount_earned ON COMMIT DROP AS
SELECT user_id, max((day = $1)::int) AS active_1, max((day > $1::date - 7)::int) AS active_7, 1 AS active_30,
    coalesce(sum(points) FILTER (WHERE day = $1), 0) AS points_1,
    coalesce(sum(points) FILTER (WHERE day > $1::date - 7), 0) AS points_7, sum(points) AS points_30
FROM user_days WHERE day BETWEEN $1::date - 29 AND $1 GROUP BY user_id

-- name: analyze
ANALYZE recount_superiors, recount_people, recount_earned

-- name: totals
-- The sums over each org's people and over the distinct people of its subtree. A user counts as activated, with their
-- points, where one of their rows is linked. $1: the day.
WITH recounted AS (
    SELECT subtree.org_id,
        coalesce(own.members, 0) AS own_members, coalesce(own.activated, 0) AS own_activated,
        coalesce(own.active_1, 0) AS own_active_1, coalesce(own.active_7, 0) AS own_active_7,
        coalesce(own.active_30, 0) AS own_active_30,
        coalesce(own.points_1, 0) AS own_points_1, coalesce(own.points_7, 0) AS own_points_7,
        coalesce(own.points_30, 0) AS own_points_30,
        subtree.members, subtree.activated, subtree.active_1, subtree.active_7, subtree.active_30,
        subtree.points_1, subtree.points_7, subtree.points_30
    FROM (
        SELECT r.superior_id AS org_id,
            count(*) AS members, count(*) FILTER (WHERE r.activated) AS activated,
            coalesce(sum(active_1), 0) AS active_1, coalesce(sum(active_7), 0) AS active_7,
            coalesce(sum(active_30), 0) AS active_30, coalesce(sum(points_1), 0) AS points_1,
            coalesce(sum(points_7), 0) AS points_7, coalesce(sum(points_30), 0) AS points_30
        FROM (
            SELECT u.superior_id, p.person, bool_or(p.activated) AS activated
            FROM recount_superiors AS u JOIN recount_people AS p USING (org_id) GROUP BY u.superior_id, p.person
        ) AS r
        LEFT JOIN recount_earned AS e ON r.activated AND e.user_id = r.person
        GROUP BY r.superior_id
    ) AS subtree
    LEFT JOIN (
        SELECT p.org_id,
            count(*) AS members, count(*) FILTER (WHERE p.activated) AS activated,
            sum(active_1) AS active_1, sum(active_7) AS active_7, sum(active_30) AS active_30,
            sum(points_1) AS points_1, sum(points_7) AS points_7, sum(points_30) AS points_30
        FROM recount_people AS p
        LEFT JOIN recount_earned AS e ON p.activated AND e.user_id = p.person
        GROUP BY p.org_id
    ) AS own USING (org_id)
),
-- Both sides as one value of sixteen numbers in the same order and of the same type.
stored_values AS (
    SELECT org_id, ROW(
        own_members::bigint, own_activated::bigint, own_active_1::bigint, own_active_7::bigint, own_active_30::bigint,
        own_points_1, own_points_7, own_points_30,
        members::bigint, activated::bigint, active_1::bigint, active_7::bigint, active_30::bigint,
        points_1, points_7, points_30
    ) AS stored
    FROM org_totals WHERE day = $1
),
recounted_values AS (
    SELECT org_id, ROW(
        own_members::bigint, own_activated::bigint, own_active_1::bigint, own_active_7::bigint, own_active_30::bigint,
        own_points_1::bigint, own_points_7::bigint, own_points_30::bigint,
        members::bigint, activated::bigint, active_1::bigint, active_7::bigint, active_30::bigint,
        points_1::bigint, points_7::bigint, points_30::bigint
    ) AS recounted
    FROM recounted
),
-- A stored row of zeros is equal to a missing row.
zero_row AS (
    SELECT ROW(
        0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint,
        0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint
    ) AS zeros
)
SELECT 'total' AS kind, concat_ws(' ', org_id, $1::date) AS key, stored::text AS stored, recounted::text AS recounted
FROM stored_values FULL JOIN recounted_values USING (org_id), zero_row
WHERE coalesce(stored, zeros) IS DISTINCT FROM coalesce(recounted, zeros)

-- name: drop
DROP TABLE recount_superiors, recount_people, recount_earned

-- name: scores
SELECT 'score' AS kind, concat_ws(' ', org_id, member_id, $1::date) AS key, k::text AS stored, r::text AS recounted
FROM (
    SELECT org_id, member_id, ROW(user_id, last_7, total) AS k FROM org_scores WHERE day = $1
) AS stored
FULL JOIN (
    SELECT s.org_id, s.member_id, ROW(
        s.person,
        coalesce(sum(d.points) FILTER (WHERE d.day > $1::date - 7), 0)::bigint,
        coalesce(sum(d.points), 0)::bigint
    ) AS r
    FROM memberships AS s LEFT JOIN user_days AS d ON d.user_id = s.person AND d.day <= $1
    WHERE s.activated AND s.since <= $1 AND s.before > $1 GROUP BY s.org_id, s.member_id, s.person
) AS recounted USING (org_id, member_id)
WHERE k IS DISTINCT FROM r

-- name: score_steps
SELECT 'score step' AS kind, concat_ws(' ', org_id, $1::date, kind, step) AS key, k.people::text AS stored,
    r.people::text AS recounted
FROM (SELECT org_id, kind, step, people FROM score_steps WHERE day = $1 AND people <> 0) AS k
FULL JOIN (
    SELECT s.org_id, v.kind, v.step, count(*) AS people
    FROM org_scores AS s, score_steps_of(s.last_7, s.total) AS v
    WHERE s.day = $1 AND EXISTS (SELECT FROM score_steps AS k WHERE k.org_id = s.org_id AND k.day = s.day)
    GROUP BY s.org_id, v.kind, v.step
) AS r USING (org_id, kind, step)
WHERE k.people IS DISTINCT FROM r.people
