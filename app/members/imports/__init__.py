"""Bulk import of a sheet: upload, reading it in a process of its own, preview, merge in a job, results by row.
Tables: `imports`, `import_rows`. Door: `router`.
"""
