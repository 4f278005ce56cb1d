"""Link requests: a person says that a row with another phone is theirs, and an admin decides. Table: `link_requests`.
Door: `router`.
"""
