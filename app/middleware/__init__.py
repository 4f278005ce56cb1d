"""What is wrapped around the app: the request log, and the refusal of bodies that are too large."""
