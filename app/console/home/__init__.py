"""The first page: what waits, and the figures at a glance."""
