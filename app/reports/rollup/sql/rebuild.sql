-- Rebuild: makes the rolled-up state equal to its sources. Only rows that differ are written.
--
-- In: point_events, the tables of source_memberships.sql, certifications.
-- Out: user_days, memberships, tree_edges.
-- Invariant: one snapshot, in which all waiting delta rows are already applied.

-- name: months
SELECT make_partition('user_days', month, (month + interval '1 month')::date)
FROM (SELECT DISTINCT date_trunc('month', day)::date AS month FROM point_events) AS months

-- name: compare_day_rows
-- Days before the first day of the ledger are archived: their day rows stay. The ledger contains all waiting events.
CREATE TEMP TABLE built_day_rows ON COMMIT DROP AS
SELECT user_id, day, d.points IS NOT NULL AS stored, l.points IS NOT NULL AS wanted, l.points, l.events
FROM (SELECT * FROM user_days WHERE day >= (SELECT min(day) FROM point_events)) AS d
FULL JOIN (
    SELECT user_id, day, sum(points)::bigint AS points, count(*)::int AS events FROM point_events GROUP BY user_id, day
) AS l USING (user_id, day)
WHERE (d.points, d.events) IS DISTINCT FROM (l.points, l.events)

-- name: delete_day_rows
DELETE FROM user_days AS d USING built_day_rows AS b WHERE b.stored AND d.user_id = b.user_id AND d.day = b.day

-- name: insert_day_rows
INSERT INTO user_days (user_id, day, points, events)
SELECT user_id, day, points, events FROM built_day_rows WHERE wanted ORDER BY user_id, day

-- name: delete_point_deltas
DELETE FROM point_deltas

-- name: delete_preparation
DELETE FROM prepared_days

-- name: compare_memberships
-- One full join finds the rows that are missing, wrong or superfluous. `stored`: a row must be deleted; `wanted`: a row
-- must be inserted.
CREATE TEMP TABLE built_memberships ON COMMIT DROP AS
WITH
-- include: scope_all_members
-- include: source_memberships
SELECT org_id, member_id, since, s.person IS NOT NULL AS stored, m.person IS NOT NULL AS wanted,
    m.before, m.person, m.activated
FROM memberships AS s FULL JOIN source_memberships AS m USING (org_id, member_id, since)
WHERE (s.before, s.person, s.activated) IS DISTINCT FROM (m.before, m.person, m.activated)

-- name: delete_memberships
DELETE FROM memberships AS s USING built_memberships AS b
WHERE b.stored AND s.org_id = b.org_id AND s.member_id = b.member_id AND s.since = b.since

-- name: insert_memberships
INSERT INTO memberships (org_id, member_id, since, before, person, activated)
SELECT org_id, member_id, since, before, person, activated
FROM built_memberships WHERE wanted ORDER BY org_id, member_id, since

-- name: compare_edges
CREATE TEMP TABLE built_edges ON COMMIT DROP AS
WITH
-- include: certified_edges
SELECT subordinate_id, since, e.superior_id IS NOT NULL AS stored, c.superior_id IS NOT NULL AS wanted,
    c.before, c.superior_id
FROM tree_edges AS e FULL JOIN certified_edges AS c USING (subordinate_id, since)
WHERE (e.before, e.superior_id) IS DISTINCT FROM (c.before, c.superior_id)

-- name: delete_edges
DELETE FROM tree_edges AS e USING built_edges AS b
WHERE b.stored AND e.subordinate_id = b.subordinate_id AND e.since = b.since

-- name: insert_edges
INSERT INTO tree_edges (subordinate_id, since, before, superior_id)
SELECT subordinate_id, since, before, superior_id FROM built_edges WHERE wanted ORDER BY subordinate_id, since

-- name: next_day
-- The first stored day after $1.
SELECT day, scored FROM stored_days WHERE day > $1 ORDER BY day LIMIT 1

-- name: one_day
SELECT day, scored FROM stored_days WHERE day = $1

-- name: restart_preparation
-- A day in preparation is a copy of the previous day. If the previous day is rebuilt, the preparation starts again.
-- $1: the rebuilt day.
DELETE FROM prepared_days WHERE day = $1::date + 1
