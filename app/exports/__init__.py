"""Files made by a job: asking for one, writing it as XLSX or CSV, downloading, deleting. What can be exported is said
by the feature whose data it is (`kinds.ExportKind`). Tables: `exports`, `export_parts`. Door: `router`.
"""
