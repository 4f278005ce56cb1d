"""Mergers: an org merges into another org, or into a unit of it.

The main admin of the first org requests the merger, and an admin of the other org, the receiving org, accepts it. Then
the people and units of the first org move into the receiving org, and the first org is closed. Table: `mergers`.
Router: `router`.
"""
