"""Pages of the org's settings: its name, its admins, requests and decisions."""
