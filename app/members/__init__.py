"""People in an org's directory: their rows and places, activation, import, link requests, transfers between orgs.
Tables: `members`, `places`, `imports` and others of `schema.members`. Doors: the four routers in here and below.
"""
