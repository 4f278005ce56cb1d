"""Metrics for Prometheus: the port on which each process shows its own, and what is asked when they are read.

- `server`: `/metrics` on a port of its own (XUEZU_METRICS_PORT), never on the public one.
- `api_gauges`: what a process of the API knows of itself: readiness, its connections.
- `worker_gauges`: what the worker asks the database for: jobs, totals, transactions, archived WAL, certificates.

It has no tables and no routes. `deploy/monitoring` has the alert rules and the dashboard, and docs/OPERATIONS.md says
what to do at each alert.
"""
