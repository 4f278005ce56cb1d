"""Backups of the database, and restores to any instant (`xuezu backup`, `xuezu restore`).

The work is PostgreSQL's own: `pg_basebackup` with `--incremental`, `pg_combinebackup`, `pg_verifybackup`, and the
archived write-ahead log. This package puts their files into one directory (XUEZU_BACKUP_DIR), verifies what is there,
and prepares a restored database for its writers.

- `repository`: the directory: backups with their manifests, and the archived log.
- `wal_archive`: the `archive_command`; it imports nothing of the service, because it runs for each 16 MB.
- `taking`, `verification`, `pruning`, `restoring`, `after_restore`: the commands.

It has no tables and no routes. The keys (XUEZU_DATA_KEYS, XUEZU_INDEX_KEY) are never part of a backup.
"""
