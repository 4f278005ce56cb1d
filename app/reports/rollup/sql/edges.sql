-- Edges: from the delta rows of orgs whose superior changed (`edge_deltas`) to tree_edges and the superiors' totals.
--
-- In: edge_deltas (which orgs changed, not how), certifications, tree_edges, org_totals.
-- Out: tree_edges, org_totals of the superiors of a moved subtree. No other row changes: the totals inside the subtree
-- are the same under any superior.
-- Invariant: on every day between two statements the uncut edges are a tree.

-- name: take
WITH taken AS (DELETE FROM edge_deltas RETURNING org_id)
INSERT INTO staged_orgs (org_id) SELECT DISTINCT org_id FROM taken

-- name: stage_present
WITH
-- include: certified_edges
INSERT INTO staged_edges (subordinate_id, since, before, superior_id)
SELECT subordinate_id, since, before, superior_id FROM certified_edges
WHERE subordinate_id IN (SELECT org_id FROM staged_orgs)

-- name: moves
-- The stored days on which an org has another superior than in the rolled-up tree.
SELECT k.day, o.org_id, old.superior_id AS old, new.superior_id AS new
FROM staged_orgs AS o CROSS JOIN staged_days AS k
LEFT JOIN tree_edges AS old ON old.subordinate_id = o.org_id AND old.since <= k.day AND old.before > k.day
LEFT JOIN staged_edges AS new ON new.subordinate_id = o.org_id AND new.since <= k.day AND new.before > k.day
WHERE old.superior_id IS DISTINCT FROM new.superior_id

-- name: remove
DELETE FROM tree_edges WHERE subordinate_id IN (SELECT org_id FROM staged_orgs)

-- name: add
INSERT INTO tree_edges (subordinate_id, since, before, superior_id)
SELECT subordinate_id, since, before, superior_id FROM staged_edges

-- name: finish_people_of_prepared_day
-- All people of a day in preparation are processed after it was built whole. $1: the day.
UPDATE prepared_days SET people_before = NULL WHERE day = $1

-- name: cut
INSERT INTO staged_cuts (day, org_id) VALUES ($1, $2)

-- name: uncut
DELETE FROM staged_cuts WHERE day = $1 AND org_id = $2

-- name: superior
-- $1: the day; $2: the org.
SELECT superior_id FROM tree_edges AS e
WHERE subordinate_id = $2 AND e.since <= $1 AND e.before > $1
  AND NOT EXISTS (SELECT FROM staged_cuts AS x WHERE x.day = $1 AND x.org_id = e.subordinate_id)

-- name: clear
TRUNCATE staged_subtree, staged_outside

-- name: subtree_first
-- $1: the org that moves.
INSERT INTO staged_subtree (level, org_id) VALUES (0, $1)

-- name: subtree_next
-- $1: the day; $2: the level of the superiors.
INSERT INTO staged_subtree (level, org_id)
SELECT $2::int + 1, e.subordinate_id FROM staged_subtree AS b JOIN tree_edges AS e ON e.superior_id = b.org_id
WHERE b.level = $2::int AND e.since <= $1 AND e.before > $1
  AND NOT EXISTS (SELECT FROM staged_cuts AS x WHERE x.day = $1 AND x.org_id = e.subordinate_id)
ON CONFLICT DO NOTHING

-- name: outside_first
-- The orgs outside the subtree that have members who are also members in the subtree. $1: the day.
-- `linked`: the people who are linked in the subtree and in the other org.
INSERT INTO staged_outside (level, person, linked, org_id)
SELECT DISTINCT 0, elsewhere.person, part.linked, elsewhere.org_id
FROM staged_subtree AS b
JOIN memberships AS here ON here.org_id = b.org_id AND here.since <= $1 AND here.before > $1
JOIN memberships AS elsewhere ON elsewhere.person = here.person AND elsewhere.since <= $1 AND elsewhere.before > $1
JOIN (VALUES (false), (true)) AS part (linked) ON (here.activated AND elsewhere.activated) OR NOT part.linked
WHERE NOT EXISTS (SELECT FROM staged_subtree AS x WHERE x.org_id = elsewhere.org_id)

-- name: outside_next
-- $1: the day; $2: the level of the subordinates.
INSERT INTO staged_outside (level, person, linked, org_id)
SELECT DISTINCT $2::int + 1, o.person, o.linked, e.superior_id
FROM staged_outside AS o JOIN tree_edges AS e ON e.subordinate_id = o.org_id
WHERE o.level = $2::int AND e.since <= $1 AND e.before > $1
  AND NOT EXISTS (SELECT FROM staged_cuts AS x WHERE x.day = $1 AND x.org_id = e.subordinate_id)
ON CONFLICT DO NOTHING

-- name: shift
-- Each superior gains the totals of the subtree, minus the people whom it also counts through another org.
-- $1: the day; $2: the org that moves; $3: its superiors; $4: 1 to add, -1 to subtract.
WITH figures AS (
    SELECT o.person, o.linked, (NOT o.linked)::int AS members, o.linked::int AS activated,
        max((d.day = $1)::int) AS active_1, max((d.day > o.last - 7)::int) AS active_7,
        max((d.day IS NOT NULL)::int) AS active_30,
        sum(d.points) FILTER (WHERE d.day = $1) AS points_1,
        sum(d.points) FILTER (WHERE d.day > o.last - 7) AS points_7, sum(d.points) AS points_30
    FROM (
        SELECT DISTINCT x.person, x.linked, window_end(k.day, x.person, k.people_before) AS last
        FROM staged_outside AS x JOIN staged_days AS k ON k.day = $1
    ) AS o
    LEFT JOIN user_days AS d ON o.linked AND d.user_id = o.person AND d.day BETWEEN o.last - 29 AND o.last
    GROUP BY o.person, o.linked
),
counted AS (
    SELECT o.org_id,
        coalesce(sum(f.members), 0) AS members, coalesce(sum(f.activated), 0) AS activated,
        coalesce(sum(f.active_1), 0) AS active_1, coalesce(sum(f.active_7), 0) AS active_7,
        coalesce(sum(f.active_30), 0) AS active_30,
        coalesce(sum(f.points_1), 0) AS points_1, coalesce(sum(f.points_7), 0) AS points_7,
        coalesce(sum(f.points_30), 0) AS points_30
    FROM staged_outside AS o JOIN figures AS f USING (person, linked) WHERE o.org_id = ANY ($3) GROUP BY o.org_id
)
INSERT INTO org_totals AS t (
    org_id, day,
    own_members, own_activated, own_active_1, own_active_7, own_active_30, own_points_1, own_points_7, own_points_30,
    members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT superiors.org_id, $1::date, 0, 0, 0, 0, 0, 0, 0, 0,
    $4::int * (m.members - coalesce(c.members, 0)), $4 * (m.activated - coalesce(c.activated, 0)),
    $4 * (m.active_1 - coalesce(c.active_1, 0)), $4 * (m.active_7 - coalesce(c.active_7, 0)),
    $4 * (m.active_30 - coalesce(c.active_30, 0)),
    $4 * (m.points_1 - coalesce(c.points_1, 0)), $4 * (m.points_7 - coalesce(c.points_7, 0)),
    $4 * (m.points_30 - coalesce(c.points_30, 0))
FROM unnest($3::uuid[]) AS superiors (org_id)
JOIN org_totals AS m ON m.org_id = $2 AND m.day = $1
LEFT JOIN counted AS c ON c.org_id = superiors.org_id
ON CONFLICT (org_id, day) DO UPDATE SET
    members = t.members + excluded.members,
    activated = t.activated + excluded.activated,
    active_1 = t.active_1 + excluded.active_1,
    active_7 = t.active_7 + excluded.active_7,
    active_30 = t.active_30 + excluded.active_30,
    points_1 = t.points_1 + excluded.points_1,
    points_7 = t.points_7 + excluded.points_7,
    points_30 = t.points_30 + excluded.points_30
