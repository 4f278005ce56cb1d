-- Cycle: whether deltas wait, and which days are missing.

-- name: has_deltas
SELECT EXISTS (SELECT FROM point_deltas) OR EXISTS (SELECT FROM member_deltas) OR EXISTS (SELECT FROM user_deltas)
    OR EXISTS (SELECT FROM edge_deltas)

-- name: unmark_past_scores
-- $1: today.
UPDATE stored_days SET scored = false WHERE scored AND day < $1

-- name: has_preparation
-- Whether the preparation of a day ($1) has begun.
SELECT EXISTS (SELECT FROM prepared_days WHERE day = $1)

-- name: newest_stored_day
SELECT max(day) FROM stored_days

-- name: count_people
-- How many member rows there are, counted up to $1.
SELECT count(*) FROM (SELECT FROM memberships LIMIT $1) AS people

-- name: first_day_with_people
SELECT min(since) FROM memberships
