-- Staging: the temporary tables of one rollup transaction.
--
-- Every table below belongs to the session and is empty again after each commit. `day` is a day whose totals are kept
-- (or are being prepared); windows of 1, 7 and 30 days end with it. Counts are people, points are whole points.

-- name: begin
-- The lock comes first: it takes no snapshot, so that the transaction's snapshot is younger than whatever the previous
-- holder of the lock committed. Each execution is planned for its parameters and for what the staging tables hold at
-- that moment; a generic plan would miss both.
LOCK TABLE stored_days IN EXCLUSIVE MODE;
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL jit = off;
SET LOCAL work_mem = '64MB'

-- name: exists
SELECT to_regclass('pg_temp.staged_days') IS NOT NULL

-- name: create
-- The days that deltas are applied to: the kept ones, and the one in preparation. `people_before` and `orgs_before` say
-- how far the preparation has come (next_day.sql); both are NULL for a kept day.
CREATE TEMP TABLE staged_days (day date, scored bool, people_before uuid, orgs_before uuid) ON COMMIT DELETE ROWS;

-- What the delta rows say: points by user and day; which members and which orgs changed.
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

-- By how much one person's figures change, on which day. `side` keeps apart what may be staged for one person more than
-- once: 0 points earned, 1 the person is taken off where they were, 2 the person is added where they are.
CREATE TEMP TABLE staged_changes (
    day date, side smallint, person uuid,
    members int, activated int, active_1 int, active_7 int, active_30 int,
    points_1 float8, points_7 float8, points_30 float8
) ON COMMIT DELETE ROWS;
-- The same at each org that the person is a member of; `alone`: 1 where that is the only one, else 0.
CREATE TEMP TABLE staged_memberships (
    day date, side smallint, person uuid, org_id uuid, alone int,
    members int, activated int, active_1 int, active_7 int, active_30 int,
    points_1 float8, points_7 float8, points_30 float8
) ON COMMIT DELETE ROWS;
-- What is added to `org_totals`: to the orgs that people are members of (level 0), and on its way up, level by level.
-- Points are float8 here and above, exact for whole numbers below 2^53: a sum of bigint is a slow numeric.
CREATE TEMP TABLE staged_totals (
    level int, day date, org_id uuid,
    members int, activated int, active_1 int, active_7 int, active_30 int,
    points_1 float8, points_7 float8, points_30 float8,
    own_members int DEFAULT 0, own_activated int DEFAULT 0,
    own_active_1 int DEFAULT 0, own_active_7 int DEFAULT 0, own_active_30 int DEFAULT 0,
    own_points_1 float8 DEFAULT 0, own_points_7 float8 DEFAULT 0, own_points_30 float8 DEFAULT 0
) ON COMMIT DELETE ROWS;
-- Scores that changed in groups with score steps; NULL where the score did not exist before, or no longer does.
CREATE TEMP TABLE staged_scores (
    org_id uuid, day date, old_7 bigint, old_total bigint, new_7 bigint, new_total bigint
) ON COMMIT DELETE ROWS;

-- Moving a subtree: edges that are cut at this moment, the subtree, and its people's orgs outside of it.
CREATE TEMP TABLE staged_cuts (day date, org_id uuid) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_subtree (level int, org_id uuid PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE staged_outside (level int, person uuid, org_id uuid, PRIMARY KEY (person, org_id))
    ON COMMIT DELETE ROWS

-- name: stage_days
INSERT INTO staged_days (day, scored, people_before, orgs_before)
SELECT day, scored, NULL, NULL FROM stored_days
UNION ALL SELECT day, true, people_before, orgs_before FROM prepared_days;
ANALYZE staged_days
