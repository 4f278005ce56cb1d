"""Organisations and their units: names, regions, cards, searching, the units of an org, and the row locks that edits
take. Tables: `orgs`, `units`. Doors: `router`, `unit_router`. Creating, editing and closing is `org_lifecycle`.
"""
