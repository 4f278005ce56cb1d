"""Signing in and one's own account. Low to high: `oauth` (the protocol), `sessions`, `phone_codes`, `verification`,
`accounts`, `security_keys`, `operators`, `device_flow` (the QR scan), `token_endpoint`; `setup` gives the app the
routers and what lives as long as the process. Deciding on a request is the package `authz`. Tables: `schema.auth`.
"""
