"""Writing the audit log: `entries.record` adds an entry and its outgoing event in the caller's transaction; `refusals`
counts refused requests. Tables: `audit_entries`, `outgoing_events`. The package `audit` reads the audit log.
"""
