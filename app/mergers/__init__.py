"""Mergers: an org merges into another org, or into a unit of it.

Its main admin asks, an admin of the other org accepts, and then its people and units move and it is closed. Table:
`mergers`. Router: `router`.
"""
