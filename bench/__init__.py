"""Benchmarks: each row is the cost of the service, divided by that of a limit or a peer measured in the same run.

A measurement is a function with the name of its row, or of the first part of the names of its rows: `read_org`.
"""
