"""The PC console (管理后台): pages over the features' own operations.

Pages call the same operations and queries as the API, never the API itself, and hold no SQL. Their session comes by a
cookie instead of a header (`authz.cookies`); who may do what is decided by the same scopes.
"""
