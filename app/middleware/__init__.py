"""Middleware of the app: the address of the caller, the language of a request, its log line, and the answer to bodies
that are too large."""
