-- Cycle: whether there is something to do, and which days are to be built.

-- name: waiting
SELECT EXISTS (SELECT FROM point_facts) OR EXISTS (SELECT FROM place_facts) OR EXISTS (SELECT FROM edge_facts)

-- name: past_days_have_no_scores
-- $1: today.
UPDATE kept_days SET scored = false WHERE scored AND day < $1

-- name: is_begun
-- Whether the preparation of a day ($1) has begun.
SELECT EXISTS (SELECT FROM prepared_days WHERE day = $1)

-- name: newest_kept
SELECT max(day) FROM kept_days

-- name: people
-- How many member rows there are, counted up to $1.
SELECT count(*) FROM (SELECT FROM standings LIMIT $1) AS people

-- name: first_day_with_people
SELECT min(since) FROM standings
