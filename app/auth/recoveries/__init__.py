"""Account recoveries: a person without the phone of their account proves the real name again, waits, and the account
gets another phone. Table: `account_recoveries`. Entry points: `router`, `jobs`.
"""
