"""The OAuth token endpoint: metadata (RFC 8414), keys (RFC 7517), the grants, revocation (RFC 7009).

Entry point: `router`.
"""
