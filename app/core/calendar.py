"""The calendar of the service: a day is a day in Asia/Shanghai."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def today() -> date:
    """Return the present date in Asia/Shanghai."""
    return datetime.now(SHANGHAI).date()
