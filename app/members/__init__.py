"""People in an org's directory: rows, units, activation, imports, link requests and transfers between orgs.

Tables: `members`, `unit_memberships`, `imports` and others of `schema.members`.
Entry points: `router` here and in `imports`, `links` and `transfers`.
"""
