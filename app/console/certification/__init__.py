"""Superiors, subordinates, applications, invitations, transfers, promotions."""
