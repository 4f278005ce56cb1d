-- Memberships: the rows that `memberships` must contain, from the tables in which the features store unit memberships
-- and the identities of people.
--
-- This is an included fragment: common table expressions that end with `source_memberships (org_id, member_id, since,
-- before, person, activated)`. A scope (scope_*.sql) comes before it and selects the members. It is text and not a view
-- or a function, because the scope must restrict the rows before they are grouped: a view would compute all members.
--
-- In: unit memberships, activations, member_phones, members.
-- A row means: because of this member row, the person belongs to the org from the end of day `since` until before the
-- end of day `before`. `person` is the linked user, or without one the blind index of the phone at that time, or without
-- a phone the member row itself (its id).
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
from_complex_members AS (
    SELECT p.org_id, p.member_id, a.user_id AS person, true AS activated, unnest(p.days * a.days) AS days
    FROM membership_days AS p JOIN activated AS a USING (org_id, member_id)
    UNION ALL
    SELECT p.org_id, p.member_id, coalesce(encode(substring(h.phone_index, 1, 16), 'hex')::uuid, h.member_id), false,
        unnest((p.days - coalesce(a.days, '{}')) * datemultirange(h.days))
    FROM membership_days AS p JOIN phones AS h USING (org_id, member_id) LEFT JOIN active AS a USING (org_id, member_id)
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
source_memberships AS (
    SELECT org_id, member_id, lower(days) AS since, coalesce(upper(days), 'infinity') AS before, person, activated
    FROM from_complex_members
    UNION ALL -- not linked to a user yet
    SELECT org_id, member_id, added, least(removed, linked),
        coalesce(encode(substring(phone_index, 1, 16), 'hex')::uuid, member_id), false
    FROM simple_members WHERE added < least(removed, linked)
    UNION ALL -- linked
    SELECT org_id, member_id, greatest(added, linked), least(removed, unlinked), user_id, true
    FROM simple_members WHERE greatest(added, linked) < least(removed, unlinked)
    UNION ALL -- no longer linked
    SELECT org_id, member_id, greatest(added, unlinked), removed,
        coalesce(encode(substring(phone_index, 1, 16), 'hex')::uuid, member_id), false
    FROM simple_members WHERE greatest(added, unlinked) < removed
)
