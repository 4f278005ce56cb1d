"""The sources as the folder sees them: who stands where, and which org is under which, from day to day.

`daterange(day_of(since), day_of(until))` is the days at whose end something held; of what began and ended within one
day it is empty and nothing is left.
"""

# Nearly everybody has had one place, at most one activation, and no other phone: their days are had by comparing.
_PLAIN = """
    SELECT p.org_id, p.member_id, m.phone_index, a.user_id,
        day_of(p.since) AS came, coalesce(day_of(p.until), 'infinity') AS went,
        coalesce(day_of(a.since), 'infinity') AS linked, coalesce(day_of(a.until), 'infinity') AS unlinked
    FROM places AS p {only}
    JOIN members AS m ON m.org_id = p.org_id AND m.id = p.member_id
    LEFT JOIN activations AS a
        ON a.org_id = p.org_id AND a.member_id = p.member_id AND (a.until IS NULL OR day_of(a.since) < day_of(a.until))
    WHERE NOT EXISTS (SELECT FROM several AS s WHERE s.org_id = p.org_id AND s.member_id = p.member_id)
"""
# What each of them may be: not yet linked, linked, no longer linked. One pass each over what was worked out once.
_PARTS = (
    ("came", "least(went, linked)", "encode(substring(phone_index, 1, 16), 'hex')::uuid", "false"),
    ("greatest(came, linked)", "least(went, unlinked)", "user_id", "true"),
    ("greatest(came, unlinked)", "went", "encode(substring(phone_index, 1, 16), 'hex')::uuid", "false"),
)
_OF_PLAIN = "\nUNION ALL ".join(
    f"SELECT org_id, member_id, {since}, {before}, {person}, {activated} FROM plain WHERE {since} < {before}"
    for since, before, person, activated in _PARTS
)


def standings(only: str = "") -> str:
    """The rows of `standings` as the sources have them; `only` (`JOIN some USING (org_id, member_id)`) says of whom."""
    of_several = "JOIN several USING (org_id, member_id)"
    return f"""
WITH several AS MATERIALIZED (
    SELECT org_id, member_id FROM places AS p {only} GROUP BY org_id, member_id HAVING count(*) > 1
    UNION SELECT org_id, member_id FROM activations AS a {only} GROUP BY org_id, member_id HAVING count(*) > 1
    UNION SELECT org_id, member_id FROM member_phones AS h {only}
),
placed AS (
    SELECT p.org_id, p.member_id, range_agg(daterange(day_of(p.since), day_of(p.until))) AS days
    FROM places AS p {of_several} GROUP BY p.org_id, p.member_id
),
activated AS (
    SELECT a.org_id, a.member_id, a.user_id, range_agg(daterange(day_of(a.since), day_of(a.until))) AS days
    FROM activations AS a {of_several} GROUP BY a.org_id, a.member_id, a.user_id
),
active AS (
    SELECT org_id, member_id, range_agg(days) AS days FROM activated GROUP BY org_id, member_id
),
former AS (
    SELECT h.org_id, h.member_id, h.phone_index,
        daterange(lag(day_of(h.until)) OVER rows_of_member, day_of(h.until)) AS days
    FROM member_phones AS h {of_several} WINDOW rows_of_member AS (PARTITION BY h.org_id, h.member_id ORDER BY h.until)
),
latest AS (
    SELECT m.org_id, m.id AS member_id, m.phone_index, daterange(max(upper(f.days)), NULL) AS days
    FROM placed AS p JOIN members AS m ON m.org_id = p.org_id AND m.id = p.member_id
    LEFT JOIN former AS f ON f.org_id = m.org_id AND f.member_id = m.id
    GROUP BY m.org_id, m.id
),
phones AS (
    SELECT org_id, member_id, phone_index, days FROM former
    UNION ALL SELECT org_id, member_id, phone_index, days FROM latest
),
plain AS MATERIALIZED ({_PLAIN.format(only=only)}),
found AS (
    SELECT p.org_id, p.member_id, a.user_id AS person, true AS activated, unnest(p.days * a.days) AS days
    FROM placed AS p JOIN activated AS a USING (org_id, member_id)
    UNION ALL
    SELECT p.org_id, p.member_id, encode(substring(h.phone_index, 1, 16), 'hex')::uuid, false,
        unnest((p.days - coalesce(a.days, '{{}}')) * datemultirange(h.days))
    FROM placed AS p JOIN phones AS h USING (org_id, member_id) LEFT JOIN active AS a USING (org_id, member_id)
)
SELECT org_id, member_id, lower(days) AS since, coalesce(upper(days), 'infinity') AS before, person, activated
FROM found
UNION ALL {_OF_PLAIN}
"""


def edges(only: str = "") -> str:
    """The rows of `tree_edges` as the sources have them; `only` (a condition on `c`) says of which subordinates."""
    return f"""
SELECT subordinate_id, since, before, superior_id FROM (
    SELECT c.subordinate_id, day_of(c.certified_at) AS since, coalesce(day_of(c.released_at), 'infinity') AS before,
        c.superior_id
    FROM certifications AS c WHERE c.certified_at IS NOT NULL {only}
) AS held
WHERE since < before
"""
