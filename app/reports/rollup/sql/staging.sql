-- Staging: the temporary tables of one rollup transaction.
--
-- Every table belongs to the database session and is empty again after each commit. `day` is a day whose totals are
-- stored or being prepared; windows of 1, 7 and 30 days end with it. Counts are people, points are whole points.

-- name: begin
-- The lock comes first. It takes no snapshot, so the transaction's snapshot is younger than every commit of the previous
-- owner of the lock. Each execution is planned for its parameters and for the present content of the staging tables; a
-- generic plan would know neither.
LOCK TABLE stored_days IN EXCLUSIVE MODE;
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL jit = off;
SET LOCAL work_mem = '64MB'

-- name: exists
SELECT to_regclass('pg_temp.staged_days') IS NOT NULL

-- name: create
-- The days to which deltas are applied: the stored days and the day in preparation. `people_before` and `orgs_before`
-- are the progress of the preparation (next_day.sql); both are NULL for a stored day.
CREATE TEMP TABLE staged_days (day date, scored bool, people_before uuid, orgs_before uuid) ON COMMIT DELETE ROWS;

-- The content of the delta rows: points by user and day; the members and the orgs that changed.
CREATE TEMP TABLE staged_points (user_id uuid, day date, points bigint, events int) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_members (org_id uuid, member_id uuid) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_orgs (org_id uuid) ON COMMIT DELETE ROWS;

-- Rows that leave `memberships` and rows that enter it; the present rows of `tree_edges` of the changed orgs.
CREATE TEMP TABLE staged_removed (
    org_id uuid, member_id uuid, since date, before date, person uuid, activated bool
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_added (
    org_id uuid, member_id uuid, since date, before date, person uuid, activated bool
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_edges (
    subordinate_id uuid, since date, before date, superior_id uuid
) ON COMMIT DELETE ROWS;

-- The change of one person's figures on a day. One person can have a row for each `side`: 0, the person earned points;
-- 1, the person is removed from the old orgs; 2, the person is added to the present orgs. `linked`: the figures count
-- at the orgs in which the person is linked to a member row (activated, active, points); else at every org of the person
-- (members).
CREATE TEMP TABLE staged_changes (
    day date, side smallint, person uuid, linked bool,
    members int, activated int, active_1 int, active_7 int, active_30 int,
    points_1 float8, points_7 float8, points_30 float8
) ON COMMIT DELETE ROWS;
-- The same for each of these orgs. `in_one_org` is 1 if there is no other one, else 0.
CREATE TEMP TABLE staged_memberships (
    day date, side smallint, person uuid, linked bool, org_id uuid, in_one_org int,
    members int, activated int, active_1 int, active_7 int, active_30 int,
    points_1 float8, points_7 float8, points_30 float8
) ON COMMIT DELETE ROWS;
-- The figures that are added to `org_totals`: those of the people's own orgs (level 0) and of their superiors, level by
-- level. Points are float8 here and in the tables before, which is exact for whole numbers below 2^53: a sum of bigint
-- is a slow numeric.
CREATE TEMP TABLE staged_totals (
    level int, day date, org_id uuid,
    members int, activated int, active_1 int, active_7 int, active_30 int,
    points_1 float8, points_7 float8, points_30 float8,
    own_members int DEFAULT 0, own_activated int DEFAULT 0,
    own_active_1 int DEFAULT 0, own_active_7 int DEFAULT 0, own_active_30 int DEFAULT 0,
    own_points_1 float8 DEFAULT 0, own_points_7 float8 DEFAULT 0, own_points_30 float8 DEFAULT 0
) ON COMMIT DELETE ROWS;
-- Changed scores in groups with score steps. The old or the new value is NULL if the score did not or does not exist.
CREATE TEMP TABLE staged_scores (
    org_id uuid, day date, old_7 bigint, old_total bigint, new_7 bigint, new_total bigint
) ON COMMIT DELETE ROWS;

-- For a moving subtree: the edges that are cut at this moment, the subtree, and its people's orgs outside of it.
CREATE TEMP TABLE staged_cuts (day date, org_id uuid) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_subtree (level int, org_id uuid PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_outside (
    level int, person uuid, linked bool, org_id uuid, PRIMARY KEY (person, linked, org_id)
) ON COMMIT DELETE ROWS

-- name: stage_days
INSERT INTO staged_days (day, scored, people_before, orgs_before)
SELECT day, scored, NULL, NULL FROM stored_days
UNION ALL SELECT day, true, people_before, orgs_before FROM prepared_days;
ANALYZE staged_days
