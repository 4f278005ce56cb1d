"""Certification of an org by a superior: invitations, applications, live certifications, and transfers of a whole org
from one superior to another. Tables: `invitations`, `certifications`, `transfers`. Routers: `router`,
`transfer_router`.
"""
