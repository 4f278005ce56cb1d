"""Database access for every feature: connections and the transaction of a request, typed rows, keyset pagination,
advisory locks, migrations, concurrent index builds, and retention. This package knows no table."""
