"""Promotion: a unit becomes an org. An admin offers it to a person; when the person accepts, the unit's people and
sub-units move into the new org. Table: `promotions`. Router: `router`.
"""
