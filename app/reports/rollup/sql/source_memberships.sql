-- Memberships: the rows that `memberships` must contain, from the tables in which the features store unit memberships
-- and the identities of people.
--
-- This is an included fragment: common table expressions that end with `source_memberships (org_id, member_id, since,
-- before, person, activated)`. A scope (scope_*.sql) comes before it and selects the members. It is text and not a view
-- or a function, because the scope must restrict the rows before they are grouped: a view would compute all members.
--
-- In: unit memberships, activations, member_phones, members, users, user_phones.
-- A row means: because of this member row, the person belongs to the org from the end of day `since` until before the
-- end of day `before`. `person` is the user who is linked to the row; without one the user who had the row's phone at
-- the end of the day; without one the blind index of the phone; without a phone the row itself (its id).
-- `daterange(day_of(since), day_of(until))` is the set of days at whose end a row was valid; a row that began and ended
-- within one day has an empty range and leaves no row.

-- The few members with several unit memberships, several activations, or a former phone. Only they need multiranges.
complex_members AS MATERIALIZED (
    SELECT org_id, member_id FROM scoped_unit_memberships GROUP BY org_id, member_id HAVING count(*) > 1
    UNION SELECT org_id, member_id FROM scoped_activations GROUP BY org_id, member_id HAVING count(*) > 1
    UNION SELECT org_id, member_id FROM scoped_phones
),
membership_days AS (
    SELECT p.org_id, p.member_id, range_agg(daterange(day_of(p.since), day_of(p.until))) AS days
    FROM unit_memberships AS p JOIN complex_members USING (org_id, member_id) GROUP BY p.org_id, p.member_id
),
activated AS (
    SELECT a.org_id, a.member_id, a.user_id, range_agg(daterange(day_of(a.since), day_of(a.until))) AS days
    FROM activations AS a JOIN complex_members USING (org_id, member_id) GROUP BY a.org_id, a.member_id, a.user_id
),
active AS (
    SELECT org_id, member_id, range_agg(days) AS days FROM activated GROUP BY org_id, member_id
),
former_phones AS (
    SELECT h.org_id, h.member_id, h.phone_index,
        daterange(lag(day_of(h.until)) OVER of_member, day_of(h.until)) AS days
    FROM member_phones AS h JOIN complex_members USING (org_id, member_id)
    WINDOW of_member AS (PARTITION BY h.org_id, h.member_id ORDER BY h.until)
),
present_phones AS (
    SELECT m.org_id, m.id AS member_id, m.phone_index, daterange(max(upper(f.days)), NULL) AS days
    FROM membership_days AS p JOIN members AS m ON m.org_id = p.org_id AND m.id = p.member_id
    LEFT JOIN former_phones AS f ON f.org_id = m.org_id AND f.member_id = m.id
    GROUP BY m.org_id, m.id
),
phones AS (
    SELECT org_id, member_id, phone_index, days FROM former_phones
    UNION ALL SELECT org_id, member_id, phone_index, days FROM present_phones
),
-- Nearly all members have one unit membership, at most one activation and one phone: four dates define their days.
simple_members AS MATERIALIZED (
    SELECT p.org_id, p.member_id, m.phone_index, a.user_id,
        day_of(p.since) AS added, coalesce(day_of(p.until), 'infinity') AS removed,
        coalesce(day_of(a.since), 'infinity') AS linked, coalesce(day_of(a.until), 'infinity') AS unlinked
    FROM scoped_unit_memberships AS p
    JOIN members AS m ON m.org_id = p.org_id AND m.id = p.member_id
    LEFT JOIN activations AS a
        ON a.org_id = p.org_id AND a.member_id = p.member_id AND (a.until IS NULL OR day_of(a.since) < day_of(a.until))
    WHERE NOT EXISTS (SELECT FROM complex_members AS s WHERE s.org_id = p.org_id AND s.member_id = p.member_id)
),
linked AS (
    SELECT p.org_id, p.member_id, a.user_id, unnest(p.days * a.days) AS days
    FROM membership_days AS p JOIN activated AS a USING (org_id, member_id)
    UNION ALL
    SELECT org_id, member_id, user_id, daterange(greatest(added, linked), least(removed, unlinked))
    FROM simple_members WHERE greatest(added, linked) < least(removed, unlinked)
),
-- The days on which no user is linked to the row, with the row's phone.
unlinked AS (
    SELECT p.org_id, p.member_id, h.phone_index,
        unnest((p.days - coalesce(a.days, '{}')) * datemultirange(h.days)) AS days
    FROM membership_days AS p JOIN phones AS h USING (org_id, member_id) LEFT JOIN active AS a USING (org_id, member_id)
    UNION ALL -- not linked yet
    SELECT org_id, member_id, phone_index, daterange(added, least(removed, linked))
    FROM simple_members WHERE added < least(removed, linked)
    UNION ALL -- no longer linked
    SELECT org_id, member_id, phone_index, daterange(greatest(added, unlinked), removed)
    FROM simple_members WHERE greatest(added, unlinked) < removed
),
-- Of these days, those on which a user had the phone. Most rows have none: no user is linked because no user has the
-- phone. OFFSET 0 makes PostgreSQL look up each phone; in a join the planner may read all users.
with_user AS MATERIALIZED (
    SELECT u.org_id, u.member_id, u.days AS of_days, h.user_id, u.days * h.days AS days
    FROM unlinked AS u, LATERAL (
        SELECT id AS user_id, daterange(day_of(coalesce(phone_since, created_at)), NULL) AS days
        FROM users WHERE phone_index = u.phone_index
        UNION ALL
        SELECT user_id, daterange(day_of(since), day_of(until)) FROM user_phones WHERE phone_index = u.phone_index
        OFFSET 0
    ) AS h
    WHERE h.days && u.days
),
days_with_user AS (
    SELECT org_id, member_id, of_days, range_agg(days) AS days FROM with_user GROUP BY org_id, member_id, of_days
),
days_of_people AS (
    SELECT org_id, member_id, days, user_id AS person, true AS activated FROM linked
    UNION ALL
    SELECT org_id, member_id, days, user_id, false FROM with_user
    UNION ALL
    SELECT u.org_id, u.member_id, unnest(datemultirange(u.days) - coalesce(h.days, '{}')),
        coalesce(encode(substring(u.phone_index, 1, 16), 'hex')::uuid, u.member_id), false
    FROM unlinked AS u
    LEFT JOIN days_with_user AS h ON h.org_id = u.org_id AND h.member_id = u.member_id AND h.of_days = u.days
),
source_memberships AS (
    SELECT org_id, member_id, lower(days) AS since, coalesce(upper(days), 'infinity') AS before, person,
        activated
    FROM days_of_people
)
