"""The ledger of point events, append-only, in monthly partitions. Table: `point_events`. Door: `router`."""
