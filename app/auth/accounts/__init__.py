"""One's own account: reading it, changing the phone, closing it, registration. Table: `users`. Doors: `router`,
`me_router`.
"""
