"""Creating, editing and closing an org, and releasing a subordinate. It stands above `admins`, `members` and
`certification` because each of these changes with an org. Door: `router`.
"""
