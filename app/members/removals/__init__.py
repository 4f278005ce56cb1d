"""Asking to be removed: a user asks an org to remove their row from the directory, and its admins decide.

Table: `removal_requests`. Entry point: `router`.
"""
