"""The tree of orgs, and the tree of units in each org. The package has every recursive CTE of the service, and the lock
for edits of the hierarchy. It reads the tables of `schema` and has no tables of its own.
"""
