"""The service's calendar: a day is a day in Asia/Shanghai."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def today() -> date:
    """The date in Asia/Shanghai now."""
    return datetime.now(SHANGHAI).date()
