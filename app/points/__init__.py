"""The ledger of point events: append-only, partitioned by day. `archive` removes old days from it.

Tables: `point_events`, `point_event_keys` (each event counts once: `keys`), `point_deltas` (new points that the rollup
has not read yet), `user_days` (sums by user and day). The entry point is `router`.
"""
