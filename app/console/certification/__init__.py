"""Pages for superiors, subordinates, applications, invitations, transfers and promotions."""
