"""The tree of orgs and the tree of units inside an org: every recursive CTE of the service, and the lock that edits of
the hierarchy take. Reads `schema`; has no tables of its own.
"""
