"""The user's own account: reading, change of the phone, closure, registration. Table: `users`. Entry points: `router`,
`me_router`.
"""
