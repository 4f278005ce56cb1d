"""Who is certified under whom: invitations, applications, live certifications, and transfers of a whole org from one
superior to another. Tables: `invitations`, `certifications`, `transfers`. Doors: `router`, `transfer_router`.
"""
