"""Sign-in and the user's own account. From low to high: `oauth` (the protocol), `sessions`, `phone_codes`,
`verification`, `accounts`, `security_keys`, `operators`, `device_flow` (the QR scan), `token_endpoint`. `setup`
provides the routers and the services of the process. The package `authz` authorizes requests. Tables: `schema.auth` and
`schema.sign_in`.
"""
