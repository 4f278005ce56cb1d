"""Who may do what. `access` is the one mechanism through which every route is authorized; `caller` reads the session,
the account and its roles in one statement; `permissions` is the table of roles and rights.

Also what this needs: access tokens and the keys that sign them, session cookies, step-up (RFC 9470), origin checks.
"""
