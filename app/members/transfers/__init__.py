"""Transfers of a person to another org or to other units, with the consent of both orgs. Table: `person_transfers`.
Door: `router`.
"""
