"""Messages: what has become of a person's requests, roles, member rows and imports, as that person reads it.

`delivery` adds messages in the transaction of the act that they report; `texts` says them in the reader's language.
A message is deleted after 90 days. Table: `messages`. Router: `router`.
"""
