"""What an org sees of itself and of the orgs below it: overview, trend, rankings, their exports, and the totals kept
for them (`rollup`). Tables: `org_totals`, `org_scores` and others of `schema.reports`. Doors: `router`,
`export_router`.
"""
