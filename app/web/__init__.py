"""HTTP parts that all routes share: problems (RFC 9457), bodies, forms, ETags, event streams, the state of a request.

This package knows HTTP and no database.
"""
