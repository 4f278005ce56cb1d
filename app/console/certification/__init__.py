"""Pages for superiors, subordinates, applications, invitations, transfers, promotions and mergers."""
