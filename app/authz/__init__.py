"""Authorization. `access` is the one mechanism that authorizes every route. `caller` reads the session, the account and
its roles in one statement. `permissions` is the table of roles and permissions.

The package also contains access tokens and their signing keys, session cookies, step-up (RFC 9470) and origin checks.
"""
