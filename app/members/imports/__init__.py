"""Bulk import of a sheet: upload, parsing in a child process, preview, merge in a job, and a result for each row.

Tables: `imports`, `import_rows`, `import_files`. Entry point: `router`.
"""
