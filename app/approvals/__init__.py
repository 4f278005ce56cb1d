"""Approvals: one party makes a request and another party decides it. `kinds` describes the kinds; `requests`
opens, reads and ends requests of any kind; `user_requests` withdraws those that a user makes; `reasons` has the reasons
of declined requests. Each feature has its own table, constraints and rule, and calls these functions.
`schema.approvals` has the columns common to all these tables.
"""
