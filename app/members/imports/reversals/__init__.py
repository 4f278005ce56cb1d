"""Undoing an import within a day: who gets back what they had, and who was edited since. Table: `import_changes`. Entry
point: `router`.
"""
