-- Propagation: from staged changes of people to the totals of every org at or above one that they are a member of.
--
-- In: staged_changes (one row a day, side and person), standings, tree_edges as rolled up so far.
-- Out: org_totals. `own_…` of the orgs themselves; without the prefix, of whole subtrees.
-- Invariant: at any org a person counts once, through however many member rows and ways up the tree.

-- name: stage_places
-- $1: the side. Called for side 1 before standings change and for side 2 after it.
INSERT INTO staged_places (day, side, person, org_id, orgs)
SELECT day, side, person, org_id, count(*) OVER (PARTITION BY day, person)
FROM (
    SELECT DISTINCT c.day, c.side, c.person, s.org_id
    FROM staged_changes AS c JOIN standings AS s ON s.person = c.person AND s.since <= c.day AND s.before > c.day
    WHERE c.side = $1
) AS places

-- name: own
INSERT INTO staged_totals
SELECT p.day, p.org_id,
    sum(c.members), sum(c.activated), sum(c.active_1), sum(c.active_7), sum(c.active_30),
    sum(c.points_1), sum(c.points_7), sum(c.points_30),
    0, 0, 0, 0, 0, 0, 0, 0
FROM staged_places AS p JOIN staged_changes AS c USING (day, side, person)
GROUP BY p.day, p.org_id

-- name: climb_first
-- Nearly everybody is a member of one org only: their figures are summed by org, and the sums climb.
INSERT INTO staged_climb
SELECT 0, p.day, p.org_id,
    sum(c.members), sum(c.activated), sum(c.active_1), sum(c.active_7), sum(c.active_30),
    sum(c.points_1), sum(c.points_7), sum(c.points_30)
FROM staged_places AS p JOIN staged_changes AS c USING (day, side, person)
WHERE p.orgs = 1 GROUP BY p.day, p.org_id

-- name: climb_next
-- $1: the level that is climbed from.
INSERT INTO staged_climb
SELECT $1::int + 1, c.day, e.superior_id,
    sum(c.members), sum(c.activated), sum(c.active_1), sum(c.active_7), sum(c.active_30),
    sum(c.points_1), sum(c.points_7), sum(c.points_30)
FROM staged_climb AS c JOIN tree_edges AS e ON e.subordinate_id = c.org_id AND e.since <= c.day AND e.before > c.day
WHERE c.level = $1::int GROUP BY c.day, e.superior_id

-- name: climbed
INSERT INTO staged_totals
SELECT day, org_id, 0, 0, 0, 0, 0, 0, 0, 0,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
FROM staged_climb

-- name: reach_first
-- Members of several orgs climb one by one: an org that they reach by two ways is reached once.
INSERT INTO staged_reach (level, day, side, person, org_id)
SELECT 0, day, side, person, org_id FROM staged_places WHERE orgs > 1

-- name: reach_next
-- $1: the level that is climbed from.
INSERT INTO staged_reach (level, day, side, person, org_id)
SELECT DISTINCT $1::int + 1, r.day, r.side, r.person, e.superior_id
FROM staged_reach AS r JOIN tree_edges AS e ON e.subordinate_id = r.org_id AND e.since <= r.day AND e.before > r.day
WHERE r.level = $1::int ON CONFLICT DO NOTHING

-- name: reached
INSERT INTO staged_totals
SELECT r.day, r.org_id, 0, 0, 0, 0, 0, 0, 0, 0,
    sum(c.members), sum(c.activated), sum(c.active_1), sum(c.active_7), sum(c.active_30),
    sum(c.points_1), sum(c.points_7), sum(c.points_30)
FROM staged_reach AS r JOIN staged_changes AS c USING (day, side, person) GROUP BY r.day, r.org_id

-- name: add_totals
INSERT INTO org_totals AS t (
    org_id, day,
    own_members, own_activated, own_active_1, own_active_7, own_active_30, own_points_1, own_points_7, own_points_30,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT org_id, day,
    sum(own_members), sum(own_activated), sum(own_active_1), sum(own_active_7), sum(own_active_30),
    sum(own_points_1), sum(own_points_7), sum(own_points_30),
    sum(members), sum(activated), sum(active_1), sum(active_7), sum(active_30),
    sum(points_1), sum(points_7), sum(points_30)
FROM staged_totals GROUP BY org_id, day
HAVING sum(own_members) <> 0 OR sum(own_activated) <> 0
    OR sum(own_active_1) <> 0 OR sum(own_active_7) <> 0 OR sum(own_active_30) <> 0
    OR sum(own_points_1) <> 0 OR sum(own_points_7) <> 0 OR sum(own_points_30) <> 0
    OR sum(members) <> 0 OR sum(activated) <> 0
    OR sum(active_1) <> 0 OR sum(active_7) <> 0 OR sum(active_30) <> 0
    OR sum(points_1) <> 0 OR sum(points_7) <> 0 OR sum(points_30) <> 0
ON CONFLICT (org_id, day) DO UPDATE SET
    own_members = t.own_members + excluded.own_members,
    own_activated = t.own_activated + excluded.own_activated,
    own_active_1 = t.own_active_1 + excluded.own_active_1,
    own_active_7 = t.own_active_7 + excluded.own_active_7,
    own_active_30 = t.own_active_30 + excluded.own_active_30,
    own_points_1 = t.own_points_1 + excluded.own_points_1,
    own_points_7 = t.own_points_7 + excluded.own_points_7,
    own_points_30 = t.own_points_30 + excluded.own_points_30,
    members = t.members + excluded.members,
    activated = t.activated + excluded.activated,
    active_1 = t.active_1 + excluded.active_1,
    active_7 = t.active_7 + excluded.active_7,
    active_30 = t.active_30 + excluded.active_30,
    points_1 = t.points_1 + excluded.points_1,
    points_7 = t.points_7 + excluded.points_7,
    points_30 = t.points_30 + excluded.points_30
