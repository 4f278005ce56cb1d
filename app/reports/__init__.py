"""Reports about an org and its subtree: overview, trend, rankings, their exports, and the stored totals (`rollup`).

Tables: `org_totals`, `org_scores` and others of `schema.reports`. The entry points are `router` and `export_router`.
"""
