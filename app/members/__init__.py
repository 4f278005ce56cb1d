"""People in an org's directory: their rows and units, activation, import, link requests, transfers between orgs.
Tables: `members`, `unit_memberships`, `imports` and others of `schema.members`.
Doors: the four routers in here and below.
"""
