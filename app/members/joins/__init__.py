"""Asking to join: a user asks an org, by its name or by a link of the org or of a unit, and its admins decide.

Tables: `join_links`, `join_requests`. Entry points: `router`, `link_router`.
"""
