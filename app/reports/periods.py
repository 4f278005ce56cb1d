"""The period of a report: one day, or several days that end with a day."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from app.core.calendar import SHANGHAI, today

RETENTION_DAYS = 400


class Period(StrEnum):
    DAY = "day"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def days(self) -> int:
        return _DAYS[self]


_DAYS = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30}
_BY_DAYS = {days: period for period, days in _DAYS.items()}


@dataclass(frozen=True, slots=True)
class Span:
    """A period of `days` days, of which `until` is the last. A report of the period has the people and the hierarchy at
    the end of the last day, or the present ones if that day has not ended."""

    until: date
    days: int

    @property
    def period(self) -> Period:
        return _BY_DAYS[self.days]

    @property
    def since(self) -> date:
        return self.until - timedelta(days=self.days - 1)

    @property
    def end(self) -> datetime:
        """Return the instant at which the last day ends."""
        return get_day_end(self.until)

    @property
    def before(self) -> "Span":
        """Return the previous span: it has the same length and ends right before this one."""
        return Span(self.until - timedelta(days=self.days), self.days)


def get_day_end(day: date) -> datetime:
    """Return the instant at which a day ends in Asia/Shanghai."""
    return datetime.combine(day + timedelta(days=1), time(), SHANGHAI)


def get_first_stored_day() -> date:
    """Return the oldest day for which a report can be requested: older totals are deleted."""
    return today() - timedelta(days=RETENTION_DAYS - 1)
