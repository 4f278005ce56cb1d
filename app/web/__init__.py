"""What every route shares: problems (RFC 9457), bodies, forms, ETags, event streams, the state of one request.

It knows HTTP and no database.
"""
