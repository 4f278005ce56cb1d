"""What a user reads and decides about their own rows in the directories of orgs: where they are, and which
orgs may not link them.

Table: `org_blocks`. Entry point: `router`.
"""
