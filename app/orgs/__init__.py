"""Organisations and their units: names, regions, search, the units of an org, the row locks for edits, and the
card of an org (the fields that every user with `org:read` sees).
Tables: `orgs`, `units`. Routers: `router`, `unit_router`. The package `org_lifecycle` creates, edits and closes orgs.
"""
