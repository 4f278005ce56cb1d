"""What a user reads and decides about their own rows in the directories of orgs: where they are.

Entry point: `router`.
"""
