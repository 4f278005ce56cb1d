"""Pages for the user's own account: sessions and security keys."""
