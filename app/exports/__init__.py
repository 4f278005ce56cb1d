"""Exports: a user requests a file, a job writes it as XLSX or CSV, and the user downloads or deletes it.

The feature that owns the data declares what can be exported (`kinds.ExportKind`). Tables: `exports`, `export_parts`.
The entry point is `router`.
"""
