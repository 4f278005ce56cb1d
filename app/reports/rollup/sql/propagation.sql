-- Propagation: from staged changes of people to the totals of their orgs and of all superiors of these orgs.
--
-- In: staged_changes (one row for each day, side and person), the rolled-up memberships and tree_edges.
-- Out: org_totals. `own_…` are figures of the org itself; without the prefix, figures of the whole subtree.
-- Invariant: a person counts once at each org, independent of the number of member rows and paths up the tree. A user
-- counts as activated, with their points, where one of these rows is linked to them.

-- name: stage_memberships
-- $1: the side. This runs for side 1 before memberships change and for side 2 after that.
INSERT INTO staged_memberships (
    day, side, person, linked, org_id, in_one_org,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT day, side, person, linked, org_id, (count(*) OVER (PARTITION BY day, person, linked) = 1)::int,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
FROM (
    SELECT DISTINCT ON (c.day, c.person, c.linked, s.org_id) c.*, s.org_id
    FROM staged_changes AS c
    JOIN memberships AS s
        ON s.person = c.person AND s.since <= c.day AND s.before > c.day AND (s.activated OR NOT c.linked)
    WHERE c.side = $1
) AS orgs

-- name: own
-- Level 0: `own_…` counts all people of each org; the figures of the subtree count the people who are members of this
-- org only. These are nearly all people, and their sums climb.
INSERT INTO staged_totals (
    level, day, org_id,
    own_members, own_activated, own_active_1, own_active_7, own_active_30, own_points_1, own_points_7, own_points_30,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT 0, day, org_id,
    sum(members), sum(activated), sum(active_1), sum(active_7), sum(active_30),
    sum(points_1), sum(points_7), sum(points_30),
    sum(members * in_one_org), sum(activated * in_one_org),
    sum(active_1 * in_one_org), sum(active_7 * in_one_org), sum(active_30 * in_one_org),
    sum(points_1 * in_one_org), sum(points_7 * in_one_org), sum(points_30 * in_one_org)
FROM staged_memberships GROUP BY day, org_id

-- name: climb
-- $1: the level of the subordinates.
INSERT INTO staged_totals (
    level, day, org_id, members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT $1::int + 1, c.day, e.superior_id,
    sum(c.members), sum(c.activated), sum(c.active_1), sum(c.active_7), sum(c.active_30),
    sum(c.points_1), sum(c.points_7), sum(c.points_30)
FROM staged_totals AS c JOIN tree_edges AS e ON e.subordinate_id = c.org_id AND e.since <= c.day AND e.before > c.day
WHERE c.level = $1::int GROUP BY c.day, e.superior_id

-- name: reach
-- Members of several orgs climb one by one: an org that they reach by two paths is reached once. OFFSET 0 makes
-- PostgreSQL look up the edge for each person; in a join the planner reads the whole tree once for each level.
WITH RECURSIVE reached AS (
    SELECT day, side, person, linked, org_id FROM staged_memberships WHERE in_one_org = 0
    UNION
    SELECT r.day, r.side, r.person, r.linked, e.superior_id
    FROM reached AS r, LATERAL (
        SELECT e.superior_id FROM tree_edges AS e
        WHERE e.subordinate_id = r.org_id AND e.since <= r.day AND e.before > r.day OFFSET 0
    ) AS e
)
INSERT INTO staged_totals (
    level, day, org_id, members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT NULL, r.day, r.org_id,
    sum(c.members), sum(c.activated), sum(c.active_1), sum(c.active_7), sum(c.active_30),
    sum(c.points_1), sum(c.points_7), sum(c.points_30)
FROM reached AS r JOIN staged_changes AS c USING (day, side, person, linked) GROUP BY r.day, r.org_id

-- name: days
SELECT DISTINCT day FROM staged_totals WHERE level = 0

-- name: add_totals
-- $1: the day. Only the rollup writes totals, so this can be MERGE, which does not lock each row before it changes the
-- row, as ON CONFLICT does.
MERGE INTO org_totals AS t
USING (
    SELECT org_id,
        sum(own_members) AS own_members, sum(own_activated) AS own_activated,
        sum(own_active_1) AS own_active_1, sum(own_active_7) AS own_active_7, sum(own_active_30) AS own_active_30,
        sum(own_points_1) AS own_points_1, sum(own_points_7) AS own_points_7, sum(own_points_30) AS own_points_30,
        sum(members) AS members, sum(activated) AS activated,
        sum(active_1) AS active_1, sum(active_7) AS active_7, sum(active_30) AS active_30,
        sum(points_1) AS points_1, sum(points_7) AS points_7, sum(points_30) AS points_30
    FROM staged_totals WHERE day = $1 GROUP BY org_id
    HAVING sum(own_members) <> 0 OR sum(own_activated) <> 0
        OR sum(own_active_1) <> 0 OR sum(own_active_7) <> 0 OR sum(own_active_30) <> 0
        OR sum(own_points_1) <> 0 OR sum(own_points_7) <> 0 OR sum(own_points_30) <> 0
        OR sum(members) <> 0 OR sum(activated) <> 0
        OR sum(active_1) <> 0 OR sum(active_7) <> 0 OR sum(active_30) <> 0
        OR sum(points_1) <> 0 OR sum(points_7) <> 0 OR sum(points_30) <> 0
) AS s
ON t.org_id = s.org_id AND t.day = $1
WHEN MATCHED THEN UPDATE SET
    own_members = t.own_members + s.own_members,
    own_activated = t.own_activated + s.own_activated,
    own_active_1 = t.own_active_1 + s.own_active_1,
    own_active_7 = t.own_active_7 + s.own_active_7,
    own_active_30 = t.own_active_30 + s.own_active_30,
    own_points_1 = t.own_points_1 + s.own_points_1,
    own_points_7 = t.own_points_7 + s.own_points_7,
    own_points_30 = t.own_points_30 + s.own_points_30,
    members = t.members + s.members,
    activated = t.activated + s.activated,
    active_1 = t.active_1 + s.active_1,
    active_7 = t.active_7 + s.active_7,
    active_30 = t.active_30 + s.active_30,
    points_1 = t.points_1 + s.points_1,
    points_7 = t.points_7 + s.points_7,
    points_30 = t.points_30 + s.points_30
WHEN NOT MATCHED THEN INSERT (
    org_id, day,
    own_members, own_activated, own_active_1, own_active_7, own_active_30, own_points_1, own_points_7, own_points_30,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
) VALUES (
    s.org_id, $1,
    s.own_members, s.own_activated, s.own_active_1, s.own_active_7, s.own_active_30,
    s.own_points_1, s.own_points_7, s.own_points_30,
    s.members, s.activated, s.active_1, s.active_7, s.active_30, s.points_1, s.points_7, s.points_30
)
