"""Corrections of a preview: new values of a row, and what to do with the units that the org does not have.

Each correction checks the import again and gives it a new preview. Tables: `import_rows`, `import_units`. Entry point:
`router`.
"""
