"""The ledger of point events, append-only, in partitions by day, and putting old days away (`archive`).

Tables: `point_events`, `point_event_keys` (each event counts once), `point_deltas` (what the rollup has not read yet),
`user_days` (sums by user and day). Door: `router`.
"""
