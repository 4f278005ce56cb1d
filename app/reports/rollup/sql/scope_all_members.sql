-- Scope of source_memberships.sql: all members.
scoped_unit_memberships AS NOT MATERIALIZED (SELECT org_id, member_id, since, until FROM unit_memberships),
scoped_activations AS NOT MATERIALIZED (SELECT org_id, member_id, user_id, since, until FROM activations),
scoped_phones AS NOT MATERIALIZED (SELECT org_id, member_id, until, phone_index FROM member_phones),
