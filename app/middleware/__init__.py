"""What is wrapped around the app: the request's language and log, and the refusal of bodies that are too large."""
