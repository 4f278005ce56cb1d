"""The docs explorer in development: the page `/docs` with a form that signs in and renews the tokens."""
