"""Security keys and sessions of one's own account."""
