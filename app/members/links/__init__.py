"""Link requests: a user claims a member row that has another phone, and an admin of the org decides.

Table: `link_requests`. Entry point: `router`.
"""
