"""Platform operators: their accounts, key recovery, suspensions, service clients.

Table: `operators`. Entry point: `router`.
"""
