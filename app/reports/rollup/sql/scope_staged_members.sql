-- Scope of source_memberships.sql: the members of staged_members.
scoped_unit_memberships AS NOT MATERIALIZED (
    SELECT org_id, member_id, since, until FROM unit_memberships JOIN staged_members USING (org_id, member_id)
),
scoped_activations AS NOT MATERIALIZED (
    SELECT org_id, member_id, user_id, since, until FROM activations JOIN staged_members USING (org_id, member_id)
),
scoped_phones AS NOT MATERIALIZED (
    SELECT org_id, member_id, until, phone_index FROM member_phones JOIN staged_members USING (org_id, member_id)
),
