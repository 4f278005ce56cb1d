"""Organisations and their units: names, regions, cards, search, the units of an org, and the row locks for edits.
Tables: `orgs`, `units`. Routers: `router`, `unit_router`. The package `org_lifecycle` creates, edits and closes orgs.
"""
