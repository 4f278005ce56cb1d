"""The PC console (管理后台): server-rendered pages over the features' operations.

Pages call the same operations and queries as the API. They import no API router and contain no SQL. The session comes
in a cookie instead of a header (`authz.cookies`); the same scopes authorize the caller.
"""
