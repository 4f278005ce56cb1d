"""Who administers an org: main admin, admins and their invitations, change requests (new name, new main admin,
recovery). Tables: `org_admins`, `admin_invitations`, `change_requests`. Doors: the three routers.
"""
