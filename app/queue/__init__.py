"""Background jobs: adding one in the caller's transaction, and the types that every job shares. The tables are
pgqueuer's. Running them is the package `worker`.
"""
