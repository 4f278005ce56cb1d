"""Cheap small reads: a request's address leads to its route in one look-up."""
