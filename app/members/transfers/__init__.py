"""Transfers of a person to another org with the consent of both orgs, and moves of a unit's people to another unit.

Table: `person_transfers`. Entry point: `router`.
"""
