"""Creating, editing, closing and reopening an org, and releasing a subordinate. The package imports `admins`, `members`
and `certification`, because these operations change their rows too. Router: `router`. Table: `closures`.
"""
