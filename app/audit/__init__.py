"""Reading the audit log: that of an org for its admins, and that of all orgs for operators. Doors: `router`,
`operator_router`. Writing it is the package `audit_log`.
"""
