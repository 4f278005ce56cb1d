-- Verification: every row that is kept and is not what a recount gives, and the other way round.
--
-- Out, of each statement: what kind of row, its key, the kept and the recounted values as text (NULL: no such row).
-- Delta rows that wait in the snapshot are taken into account, so that the rollup need not stand still.

-- name: day_rows
-- Day rows plus waiting points against the ledger. Days before the ledger's first have been archived.
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
            FROM point_deltas AS f, unnest(f.user_ids, f.days, f.points) AS w (user_id, day, points)
        ) AS rows GROUP BY user_id, day
    ) AS k
    FULL JOIN (
        SELECT user_id, day, sum(points) AS points, count(*) AS events FROM point_events GROUP BY user_id, day
    ) AS l USING (user_id, day)
    WHERE (k.points, k.events) IS DISTINCT FROM (l.points, l.events) AND day >= (SELECT min(day) FROM point_events)
) AS compared

-- name: memberships
-- Leaves out members that a waiting delta row names.
WITH
-- include: scope_everybody
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
SELECT 'standing' AS what, concat_ws(' ', org_id, member_id, since) AS key,
    concat_ws(' ', before, person, activated) AS kept, NULL AS recounted
FROM superfluous AS d
WHERE NOT EXISTS (SELECT FROM member_deltas AS f WHERE f.org_id = d.org_id AND f.member_id = d.member_id)
UNION ALL
SELECT 'standing', concat_ws(' ', org_id, member_id, since), NULL, concat_ws(' ', before, person, activated)
FROM missing AS d
WHERE NOT EXISTS (SELECT FROM member_deltas AS f WHERE f.org_id = d.org_id AND f.member_id = d.member_id)

-- name: edges
-- Leaves out orgs that a waiting delta row names.
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
SELECT 'edge' AS what, concat_ws(' ', subordinate_id, since) AS key, concat_ws(' ', before, superior_id) AS kept,
    NULL AS recounted
FROM superfluous AS d WHERE NOT EXISTS (SELECT FROM edge_deltas AS f WHERE f.org_id = d.subordinate_id)
UNION ALL
SELECT 'edge', concat_ws(' ', subordinate_id, since), NULL, concat_ws(' ', before, superior_id)
FROM missing AS d WHERE NOT EXISTS (SELECT FROM edge_deltas AS f WHERE f.org_id = d.subordinate_id)

-- name: stored_days
-- The kept days from $1 on.
SELECT day, scored FROM stored_days WHERE day >= $1 ORDER BY day

-- name: above_first
-- Every pair of an org with people and an org at or above it. $1: the day.
CREATE TEMP TABLE recount_above ON COMMIT DROP AS
SELECT DISTINCT 0 AS level, org_id, org_id AS above FROM memberships WHERE since <= $1 AND before > $1

-- name: above_next
-- $2: the level that is climbed from.
INSERT INTO recount_above
SELECT $2::int + 1, u.org_id, e.superior_id
FROM recount_above AS u JOIN tree_edges AS e ON e.subordinate_id = u.above
WHERE u.level = $2::int AND e.since <= $1 AND e.before > $1

-- name: people
-- The distinct people of each org with their figures of the day ($1).
CREATE TEMP TABLE recount_people ON COMMIT DROP AS
SELECT s.org_id, s.person, 1 AS members, s.activated::int AS activated,
    coalesce(e.active_1, 0) AS active_1, coalesce(e.active_7, 0) AS active_7, coalesce(e.active_30, 0) AS active_30,
    coalesce(e.points_1, 0) AS points_1, coalesce(e.points_7, 0) AS points_7, coalesce(e.points_30, 0) AS points_30
FROM (SELECT DISTINCT org_id, person, activated FROM memberships WHERE since <= $1 AND before > $1) AS s
LEFT JOIN (
    SELECT user_id, max((day = $1)::int) AS active_1, max((day > $1::date - 7)::int) AS active_7, 1 AS active_30,
        sum(points) FILTER (WHERE day = $1) AS points_1,
        sum(points) FILTER (WHERE day > $1::date - 7) AS points_7, sum(points) AS points_30
    FROM user_days WHERE day BETWEEN $1::date - 29 AND $1 GROUP BY user_id
) AS e ON s.activated AND e.user_id = s.person

-- name: analyze
ANALYZE recount_above, recount_people

-- name: totals
-- Each org's people, and the distinct people of its subtree, added up. $1: the day.
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
        SELECT above AS org_id,
            sum(members) AS members, sum(activated) AS activated,
            sum(active_1) AS active_1, sum(active_7) AS active_7, sum(active_30) AS active_30,
            sum(points_1) AS points_1, sum(points_7) AS points_7, sum(points_30) AS points_30
        FROM (
            SELECT DISTINCT u.above, p.person, p.members, p.activated, p.active_1, p.active_7, p.active_30,
                p.points_1, p.points_7, p.points_30
            FROM recount_above AS u JOIN recount_people AS p USING (org_id)
        ) AS reached
        GROUP BY above
    ) AS subtree
    LEFT JOIN (
        SELECT org_id,
            sum(members) AS members, sum(activated) AS activated,
            sum(active_1) AS active_1, sum(active_7) AS active_7, sum(active_30) AS active_30,
            sum(points_1) AS points_1, sum(points_7) AS points_7, sum(points_30) AS points_30
        FROM recount_people GROUP BY org_id
    ) AS own USING (org_id)
),
-- Both sides as one value of sixteen numbers in the same order and of the same type.
kept_values AS (
    SELECT org_id, ROW(
        own_members::bigint, own_activated::bigint, own_active_1::bigint, own_active_7::bigint, own_active_30::bigint,
        own_points_1, own_points_7, own_points_30,
        members::bigint, activated::bigint, active_1::bigint, active_7::bigint, active_30::bigint,
        points_1, points_7, points_30
    ) AS kept
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
-- A kept row of zeros is the same as none.
nobody AS (
    SELECT ROW(
        0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint,
        0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint
    ) AS nothing
)
SELECT 'total' AS what, concat_ws(' ', org_id, $1::date) AS key, kept::text AS kept, recounted::text AS recounted
FROM kept_values FULL JOIN recounted_values USING (org_id), nobody
WHERE coalesce(kept, nothing) IS DISTINCT FROM coalesce(recounted, nothing)

-- name: drop
DROP TABLE recount_above, recount_people

-- name: scores
SELECT 'score' AS what, concat_ws(' ', org_id, member_id, $1::date) AS key, k::text AS kept, r::text AS recounted
FROM (
    SELECT org_id, member_id, ROW(user_id, last_7, total) AS k FROM org_scores WHERE day = $1
) AS kept
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
SELECT 'score step' AS what, concat_ws(' ', org_id, $1::date, kind, step) AS key, k.people::text AS kept,
    r.people::text AS recounted
FROM (SELECT org_id, kind, step, people FROM score_steps WHERE day = $1 AND people <> 0) AS k
FULL JOIN (
    SELECT s.org_id, v.kind, v.step, count(*) AS people
    FROM org_scores AS s, score_steps_of(s.last_7, s.total) AS v
    WHERE s.day = $1 AND EXISTS (SELECT FROM score_steps AS k WHERE k.org_id = s.org_id AND k.day = s.day)
    GROUP BY s.org_id, v.kind, v.step
) AS r USING (org_id, kind, step)
WHERE k.people IS DISTINCT FROM r.people
