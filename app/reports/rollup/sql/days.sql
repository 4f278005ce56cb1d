-- Days: the totals (and scores) of one day, built from the rolled-up state in one pass over the day rows.
--
-- In: user_days, memberships, tree_edges.
-- Out: org_totals and org_scores of the day; only rows that differ are written.
-- Invariant: the result equals that of applying every delta one by one.
-- The day is $1 in every statement. The temporary tables are dropped at the end (`drop`). They are created from their
-- queries, because only such queries can use parallel workers.

-- name: earned
-- The points of each user in the windows of the day. $2: only day rows after this day are read; without scores these
-- are the 30 days. The sums are float8, which is exact for whole numbers below 2^53 (ninety billion events with the
-- most points): a sum of bigint is a numeric, and four of those made this statement cost half as much again.
CREATE TEMP TABLE built_earned ON COMMIT DROP AS
SELECT user_id, (max(day) = $1)::int AS active_1, (max(day) > $1::date - 7)::int AS active_7,
    (max(day) > $1::date - 30)::int AS active_30,
    coalesce(sum(points::float8) FILTER (WHERE day = $1), 0)::bigint AS points_1,
    coalesce(sum(points::float8) FILTER (WHERE day > $1::date - 7), 0)::bigint AS points_7,
    coalesce(sum(points::float8) FILTER (WHERE day > $1::date - 30), 0)::bigint AS points_30,
    sum(points::float8)::bigint AS total
FROM user_days WHERE day > $2::date AND day <= $1 GROUP BY user_id

-- name: analyze_earned
-- Only this column is used in joins.
ANALYZE built_earned (user_id)

-- name: own
CREATE TEMP TABLE built_own ON COMMIT DROP AS
SELECT s.org_id, count(*)::int AS members, (count(*) FILTER (WHERE s.activated))::int AS activated,
    coalesce(sum(e.active_1), 0)::bigint AS active_1, coalesce(sum(e.active_7), 0)::bigint AS active_7,
    coalesce(sum(e.active_30), 0)::bigint AS active_30,
    coalesce(sum(e.points_1), 0)::bigint AS points_1, coalesce(sum(e.points_7), 0)::bigint AS points_7,
    coalesce(sum(e.points_30), 0)::bigint AS points_30
FROM memberships AS s LEFT JOIN built_earned AS e ON s.activated AND e.user_id = s.person
WHERE s.since <= $1 AND s.before > $1 GROUP BY s.org_id

-- name: climb_first
CREATE TEMP TABLE built_climb ON COMMIT DROP AS
SELECT 0 AS level, org_id,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
FROM built_own

-- name: climb_next
-- $2: the level of the subordinates.
INSERT INTO built_climb
SELECT $2::int + 1, e.superior_id,
    sum(c.members), sum(c.activated), sum(c.active_1), sum(c.active_7), sum(c.active_30),
    sum(c.points_1), sum(c.points_7), sum(c.points_30)
FROM built_climb AS c JOIN tree_edges AS e ON e.subordinate_id = c.org_id AND e.since <= $1 AND e.before > $1
WHERE c.level = $2::int GROUP BY e.superior_id

-- name: several_first
-- A person with several member rows has been counted at an org once for each row and path to it. These people climb one
-- by one here.
CREATE TEMP TABLE built_reach ON COMMIT DROP AS
SELECT 0 AS level, s.person, s.activated, s.org_id
FROM memberships AS s
JOIN (
    SELECT person FROM memberships WHERE since <= $1 AND before > $1 GROUP BY person HAVING count(*) > 1
) AS several USING (person)
WHERE s.since <= $1 AND s.before > $1

-- name: several_next
-- $2: the level of the subordinates.
INSERT INTO built_reach
SELECT $2::int + 1, r.person, r.activated, e.superior_id
FROM built_reach AS r JOIN tree_edges AS e ON e.subordinate_id = r.org_id AND e.since <= $1 AND e.before > $1
WHERE r.level = $2::int

-- name: repeated
-- The surplus of each org: the figures of these people, times the number of rows and paths minus one. `linked_times` is
-- the same of the linked rows; an org has no two of one user.
CREATE TEMP TABLE built_repeated ON COMMIT DROP AS
SELECT r.org_id, sum(r.own_times) AS own_members, sum(r.times) AS members, sum(r.linked_times) AS activated,
    coalesce(sum(r.linked_times * e.active_1), 0) AS active_1,
    coalesce(sum(r.linked_times * e.active_7), 0) AS active_7,
    coalesce(sum(r.linked_times * e.active_30), 0) AS active_30,
    coalesce(sum(r.linked_times * e.points_1), 0) AS points_1,
    coalesce(sum(r.linked_times * e.points_7), 0) AS points_7,
    coalesce(sum(r.linked_times * e.points_30), 0) AS points_30
FROM (
    SELECT org_id, person, count(*) - 1 AS times,
        greatest(count(*) FILTER (WHERE level = 0) - 1, 0) AS own_times,
        greatest(count(*) FILTER (WHERE activated) - 1, 0) AS linked_times
    FROM built_reach GROUP BY org_id, person HAVING count(*) > 1
) AS r
LEFT JOIN built_earned AS e ON r.linked_times > 0 AND e.user_id = r.person
GROUP BY r.org_id

-- name: compare_totals
-- One full join finds the totals of the day that are missing, wrong or superfluous. `stored`: a row must be deleted;
-- `wanted`: a row must be inserted.
CREATE TEMP TABLE built_totals ON COMMIT DROP AS
SELECT org_id, t.day IS NOT NULL AS stored, b.day IS NOT NULL AS wanted,
    b.own_members, b.own_activated, b.own_active_1, b.own_active_7, b.own_active_30,
    b.own_points_1, b.own_points_7, b.own_points_30,
    b.members, b.activated, b.active_1, b.active_7, b.active_30, b.points_1, b.points_7, b.points_30
FROM (SELECT * FROM org_totals WHERE day = $1) AS t
FULL JOIN (
    SELECT org_id, $1::date AS day,
        (coalesce(max(own.members), 0) - sum(part.own_repeated))::int AS own_members,
        coalesce(max(own.activated), 0) AS own_activated,
        coalesce(max(own.active_1), 0) AS own_active_1, coalesce(max(own.active_7), 0) AS own_active_7,
        coalesce(max(own.active_30), 0) AS own_active_30,
        coalesce(max(own.points_1), 0) AS own_points_1, coalesce(max(own.points_7), 0) AS own_points_7,
        coalesce(max(own.points_30), 0) AS own_points_30,
        sum(part.members)::bigint AS members, sum(part.activated)::bigint AS activated,
        sum(part.active_1)::bigint AS active_1, sum(part.active_7)::bigint AS active_7,
        sum(part.active_30)::bigint AS active_30,
        sum(part.points_1)::bigint AS points_1, sum(part.points_7)::bigint AS points_7,
        sum(part.points_30)::bigint AS points_30
    FROM (
        SELECT org_id, 0 AS own_repeated,
            members, activated, active_1, active_7, active_30, points_1, points_7, points_30
        FROM built_climb
        UNION ALL
        SELECT org_id, own_members,
            -members, -activated, -active_1, -active_7, -active_30, -points_1, -points_7, -points_30
        FROM built_repeated
    ) AS part
    LEFT JOIN built_own AS own USING (org_id)
    GROUP BY org_id
) AS b USING (org_id)
WHERE (
    t.own_members, t.own_activated, t.own_active_1, t.own_active_7, t.own_active_30,
    t.own_points_1, t.own_points_7, t.own_points_30,
    t.members, t.activated, t.active_1, t.active_7, t.active_30, t.points_1, t.points_7, t.points_30
) IS DISTINCT FROM (
    b.own_members, b.own_activated, b.own_active_1, b.own_active_7, b.own_active_30,
    b.own_points_1, b.own_points_7, b.own_points_30,
    b.members, b.activated, b.active_1, b.active_7, b.active_30, b.points_1, b.points_7, b.points_30
)

-- name: delete_totals
DELETE FROM org_totals AS t USING built_totals AS b WHERE b.stored AND t.org_id = b.org_id AND t.day = $1

-- name: insert_totals
INSERT INTO org_totals (
    org_id, day,
    own_members, own_activated, own_active_1, own_active_7, own_active_30, own_points_1, own_points_7, own_points_30,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT org_id, $1::date,
    own_members, own_activated, own_active_1, own_active_7, own_active_30, own_points_1, own_points_7, own_points_30,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
FROM built_totals WHERE wanted ORDER BY org_id

-- name: compare_scores
-- The same as compare_totals, for the scores.
CREATE TEMP TABLE built_scores ON COMMIT DROP AS
SELECT org_id, member_id, o.day IS NOT NULL AS stored, b.person IS NOT NULL AS wanted, b.person, b.last_7, b.total
FROM (SELECT org_id, member_id, day, user_id, last_7, total FROM org_scores WHERE day = $1) AS o
FULL JOIN (
    SELECT s.org_id, s.member_id, s.person, coalesce(e.points_7, 0) AS last_7, coalesce(e.total, 0) AS total
    FROM memberships AS s LEFT JOIN built_earned AS e ON e.user_id = s.person
    WHERE s.activated AND s.since <= $1 AND s.before > $1
) AS b USING (org_id, member_id)
WHERE (o.user_id, o.last_7, o.total) IS DISTINCT FROM (b.person, b.last_7, b.total)

-- name: delete_scores
DELETE FROM org_scores AS o USING built_scores AS b
WHERE b.stored AND o.org_id = b.org_id AND o.member_id = b.member_id AND o.day = $1

-- name: insert_scores
INSERT INTO org_scores (org_id, member_id, day, user_id, last_7, total)
SELECT org_id, member_id, $1::date, person, last_7, total FROM built_scores WHERE wanted ORDER BY org_id, member_id

-- name: drop_scores
DROP TABLE built_scores

-- name: drop
DROP TABLE built_earned, built_own, built_climb, built_reach, built_repeated, built_totals

-- name: store_day
-- $2: whether the day has scores.
INSERT INTO stored_days (day, scored) VALUES ($1, $2) ON CONFLICT (day) DO UPDATE SET scored = excluded.scored

-- name: delete_preparation
DELETE FROM prepared_days WHERE day = $1

-- name: make_partition
-- $2: org_totals or org_scores.
SELECT make_partition($2, $1::date, $1::date + 1)
