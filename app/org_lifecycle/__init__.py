"""Creating, editing and closing an org. It stands above `admins`, `members` and `certification` because each of these
changes with an org. Door: `router`.
"""
