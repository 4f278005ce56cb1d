"""Approvals: somebody requests something and somebody else decides. `kinds` describes the seven kinds; `requests`
opens, reads and ends requests of any kind; `reasons` says why one was declined. Each feature has its own table,
constraints and rule, and calls these functions. The columns that all of these tables have are in `schema.approvals`.
"""
