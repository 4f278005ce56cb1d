"""What waits for one person to decide. Door: `router`."""
