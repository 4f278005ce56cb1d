"""Times, numbers and places as the reader of a page writes them."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup

from app.auth.address_countries import describe_location
from app.core.calendar import SHANGHAI
from app.core.i18n import Locale, get_locale, number

LANGUAGE = "xuezu-language"
"""The cookie in which the reader's choice of language is stored."""
ZONE = "xuezu-zone"
"""The cookie in which the pages' script says the reader's time zone."""

_DAY: Final[dict[Locale, str]] = {
    "zh": "{0.year}年{0.month}月{0.day}日",
    "en": "{0.day}\u00a0{0:%b}\u00a0{0.year}",
}
_MONTH_DAY: Final[dict[Locale, str]] = {"zh": "{0.month}月{0.day}日", "en": "{0.day} {0:%b}"}
_MOMENT: Final[dict[Locale, str]] = {"zh": "{day} {0:%H:%M}", "en": "{day}, {0:%H:%M}"}
# From the smallest: what a number of the unit is written with, and how much the unit is.
_UNITS: Final[dict[Locale, tuple[tuple[str, int], ...]]] = {
    "zh": (("万", 10_000),),
    "en": (("k", 1_000), ("M", 1_000_000)),
}


def short(value: float | None) -> str:
    """A round number in little room: `40万`, `400k`."""
    if value is None or abs(value) < 10_000:
        return number(value)
    sign, unit = next(each for each in reversed(_UNITS[get_locale()]) if abs(value) >= each[1])
    return f"{value / unit:,.4g}{sign}"


def percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"


def day(value: date | None) -> Markup:
    """A day, which is one in Asia/Shanghai for everybody."""
    if value is None:
        return Markup("—")
    if isinstance(value, datetime):
        value = value.astimezone(SHANGHAI).date()
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), _DAY[get_locale()].format(value))


def month_day(value: date) -> str:
    """A day of a year that is known."""
    return _MONTH_DAY[get_locale()].format(value)


def place(address: Any) -> str:
    """Where an address is, and which it is; `—` for none."""
    return " ".join(str(part) for part in (describe_location(address), address) if part is not None) or "—"


def moment(value: datetime | None, zone: ZoneInfo) -> Markup:
    """A moment to the minute, in the reader's zone, which is said where it is not China's."""
    if value is None:
        return Markup("—")
    local, locale = value.astimezone(zone), get_locale()
    shown = _MOMENT[locale].format(local, day=_DAY[locale].format(local))
    if local.utcoffset() != value.astimezone(SHANGHAI).utcoffset():
        shown += f" {_offset_of(local)}"
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), shown)


def _offset_of(local: datetime) -> str:
    """`UTC+1`, `UTC-3:30`."""
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}"


def zone_of(request: Request) -> ZoneInfo:
    """The reader's time zone; China's where their browser has not said it yet."""
    return _zone_named(request.cookies.get(ZONE, "Asia/Shanghai"))


@lru_cache(maxsize=600)
def _zone_named(name: str) -> ZoneInfo:
    """A time zone by its name in a cookie; China's for what names none."""
    try:
        return ZoneInfo(name) if len(name) < 50 else SHANGHAI
    except (ValueError, OSError, KeyError):  # no name of a zone at all; a folder of zones; one that there is not
        return SHANGHAI
