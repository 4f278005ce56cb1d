"""What a report is about: a day, or the days up to one."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from app.core.calendar import SHANGHAI, today

DAYS_KEPT = 400


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
    """The `days` days that end with `until`; people and hierarchy are those of that day's end, or of now."""

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
        """The instant at which the last day ends."""
        return end_of(self.until)

    @property
    def before(self) -> "Span":
        """The span of the same length that ends right before this one."""
        return Span(self.until - timedelta(days=self.days), self.days)


def end_of(day: date) -> datetime:
    """The instant at which a day ends in Asia/Shanghai."""
    return datetime.combine(day + timedelta(days=1), time(), SHANGHAI)


def first_day_kept() -> date:
    return today() - timedelta(days=DAYS_KEPT - 1)
