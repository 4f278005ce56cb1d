-- Cycle: whether there is something to do, and which days are to be built.

-- name: waiting
SELECT EXISTS (SELECT FROM point_deltas) OR EXISTS (SELECT FROM member_deltas) OR EXISTS (SELECT FROM edge_deltas)

-- name: past_days_have_no_scores
-- $1: today.
UPDATE stored_days SET scored = false WHERE scored AND day < $1

-- name: is_begun
-- Whether the preparation of a day ($1) has begun.
SELECT EXISTS (SELECT FROM prepared_days WHERE day = $1)

-- name: newest_kept
SELECT max(day) FROM stored_days

-- name: people
-- How many member rows there are, counted up to $1.
SELECT count(*) FROM (SELECT FROM memberships LIMIT $1) AS people

-- name: first_day_with_people
SELECT min(since) FROM memberships
