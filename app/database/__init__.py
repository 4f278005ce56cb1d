"""The database as every feature uses it: connections and the request's transaction, typed rows, keyset pages, advisory
locks, migrations, concurrent indexes, and when data expires. It knows no table.
"""
