-- The member rows that delta rows name: those of `changed_members (org_id, member_id)`, and those that have, had, or had
-- before they were removed a phone of `changed_users (user_id)`. Both are common table expressions before this one.
changed_phones AS (
    SELECT u.phone_index FROM users AS u JOIN changed_users AS c ON c.user_id = u.id WHERE u.phone_index IS NOT NULL
    UNION SELECT h.phone_index FROM user_phones AS h JOIN changed_users AS c USING (user_id)
),
waiting_members AS (
    SELECT org_id, member_id FROM changed_members
    UNION SELECT m.org_id, m.id FROM changed_phones AS p, LATERAL (
        SELECT org_id, id FROM members WHERE phone_index = p.phone_index AND removed_at IS NULL
        UNION ALL SELECT org_id, id FROM members WHERE phone_index = p.phone_index AND removed_at IS NOT NULL
        UNION ALL SELECT org_id, member_id FROM member_phones WHERE phone_index = p.phone_index OFFSET 0
    ) AS m
)
