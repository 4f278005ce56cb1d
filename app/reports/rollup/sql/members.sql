-- Members: from the delta rows of changed members and of users whose phone changed (`member_deltas`, `user_deltas`) to
-- memberships, scores and staged changes.
--
-- In: member_deltas (which member rows changed, not how), user_deltas (which users' phones changed), the tables of
-- source_memberships.sql, memberships, user_days.
-- Out: memberships, org_scores, staged_changes (sides 1 and 2), staged_memberships, staged_scores.
-- Invariant: the memberships of the taken members equal source_memberships.sql afterwards. A delta row whose change an
-- earlier cycle has already read changes nothing.

-- name: take
WITH changed_members AS (DELETE FROM member_deltas RETURNING org_id, member_id),
changed_users AS (DELETE FROM user_deltas RETURNING user_id),
-- include: changed_members
INSERT INTO staged_members (org_id, member_id) SELECT org_id, member_id FROM waiting_members

-- name: stage_present
WITH
-- include: scope_staged_members
-- include: source_memberships
INSERT INTO staged_added (org_id, member_id, since, before, person, activated)
SELECT org_id, member_id, since, before, person, activated FROM source_memberships

-- name: stage_removed
INSERT INTO staged_removed (org_id, member_id, since, before, person, activated)
SELECT org_id, member_id, since, before, person, activated
FROM memberships JOIN staged_members USING (org_id, member_id)
EXCEPT SELECT org_id, member_id, since, before, person, activated FROM staged_added

-- name: delete_unchanged
DELETE FROM staged_added AS a USING memberships AS s
WHERE (a.org_id, a.member_id, a.since, a.before, a.person, a.activated)
    = (s.org_id, s.member_id, s.since, s.before, s.person, s.activated)

-- name: has_added
SELECT EXISTS (SELECT FROM staged_added)

-- name: stage_changes
-- A person in a removed or an added row is subtracted from the totals of their old orgs on those days (side 1), with
-- all their figures, and added to the totals of their present orgs (side 2). Equal figures cancel out. `linked`: the
-- figures of the linked user, which change only where a linked row does.
WITH touched AS (
    SELECT DISTINCT k.day, window_end(k.day, r.person, k.people_before) AS last, r.person, part.linked
    FROM (
        SELECT since, before, person, activated FROM staged_removed
        UNION ALL SELECT since, before, person, activated FROM staged_added
    ) AS r
    JOIN staged_days AS k ON k.day >= r.since AND k.day < r.before
    JOIN (VALUES (false), (true)) AS part (linked) ON r.activated OR NOT part.linked
),
figures AS (
    SELECT t.day, t.person, t.linked, (NOT t.linked)::int AS members, t.linked::int AS activated,
        count(*) FILTER (WHERE d.day = t.day) AS active_1,
        least(count(*) FILTER (WHERE d.day > t.last - 7), 1) AS active_7,
        least(count(d.day), 1) AS active_30,
        coalesce(sum(d.points) FILTER (WHERE d.day = t.day), 0) AS points_1,
        coalesce(sum(d.points) FILTER (WHERE d.day > t.last - 7), 0) AS points_7,
        coalesce(sum(d.points), 0) AS points_30
    FROM touched AS t
    LEFT JOIN user_days AS d ON t.linked AND d.user_id = t.person AND d.day BETWEEN t.last - 29 AND t.last
    GROUP BY t.day, t.person, t.linked
)
INSERT INTO staged_changes (
    day, side, person, linked, members, activated, active_1, active_7, active_30, points_1, points_7, points_30
)
SELECT day, 1, person, linked,
    -members, -activated, -active_1, -active_7, -active_30, -points_1, -points_7, -points_30
FROM figures
UNION ALL
SELECT day, 2, person, linked, members, activated, active_1, active_7, active_30, points_1, points_7, points_30
FROM figures

-- name: remove
DELETE FROM memberships AS s USING staged_removed AS r
WHERE s.org_id = r.org_id AND s.member_id = r.member_id AND s.since = r.since

-- name: add
INSERT INTO memberships (org_id, member_id, since, before, person, activated)
SELECT org_id, member_id, since, before, person, activated FROM staged_added

-- name: remove_scores
WITH changed AS (
    DELETE FROM org_scores AS o USING staged_removed AS r, staged_days AS k
    WHERE r.activated AND k.scored AND k.day >= r.since AND k.day < r.before
      AND o.org_id = r.org_id AND o.member_id = r.member_id AND o.day = k.day
    RETURNING o.org_id, o.day, o.last_7, o.total
)
INSERT INTO staged_scores (org_id, day, old_7, old_total)
SELECT c.org_id, c.day, c.last_7, c.total
FROM changed AS c,
LATERAL (
    SELECT FROM score_steps AS k WHERE k.org_id = c.org_id AND k.day = c.day ORDER BY k.kind, k.step LIMIT 1
) AS stepped

-- name: add_scores
-- Such a score exists already only if memberships were damaged, or if a rebuild has repaired them and has not built the
-- day yet. Neither case may stop the rollup.
WITH changed AS (
    INSERT INTO org_scores AS o (org_id, member_id, day, user_id, last_7, total)
    SELECT a.org_id, a.member_id, k.day, a.person,
        coalesce(sum(d.points) FILTER (WHERE d.day > k.day - 7), 0), coalesce(sum(d.points), 0)
    FROM staged_added AS a
    JOIN staged_days AS k ON k.scored AND k.day >= a.since AND k.day < a.before
        AND (k.orgs_before IS NULL OR a.org_id < k.orgs_before)
    LEFT JOIN user_days AS d ON d.user_id = a.person AND d.day <= k.day
    WHERE a.activated GROUP BY a.org_id, a.member_id, k.day, a.person
    ON CONFLICT (org_id, member_id, day)
        DO UPDATE SET user_id = excluded.user_id, last_7 = excluded.last_7, total = excluded.total
    RETURNING o.org_id, o.day, OLD.last_7 AS old_7, OLD.total AS old_total, NEW.last_7 AS new_7, NEW.total AS new_total
)
INSERT INTO staged_scores (org_id, day, old_7, old_total, new_7, new_total)
SELECT c.org_id, c.day, c.old_7, c.old_total, c.new_7, c.new_total
FROM changed AS c,
LATERAL (
    SELECT FROM score_steps AS k WHERE k.org_id = c.org_id AND k.day = c.day ORDER BY k.kind, k.step LIMIT 1
) AS stepped
