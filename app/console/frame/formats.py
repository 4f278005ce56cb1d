"""Times, numbers and addresses in the reader's language and time zone."""

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
"""The cookie in which the page's script stores the reader's time zone."""

_DAY: Final[dict[Locale, str]] = {
    "zh": "{0.year}年{0.month}月{0.day}日",
    "en": "{0.day}\u00a0{0:%b}\u00a0{0.year}",
}
_MONTH_DAY: Final[dict[Locale, str]] = {"zh": "{0.month}月{0.day}日", "en": "{0.day} {0:%b}"}
_MOMENT: Final[dict[Locale, str]] = {"zh": "{day} {0:%H:%M}", "en": "{day}, {0:%H:%M}"}
# From small to large: the sign of a unit and its size.
_UNITS: Final[dict[Locale, tuple[tuple[str, int], ...]]] = {
    "zh": (("万", 10_000),),
    "en": (("k", 1_000), ("M", 1_000_000)),
}


def format_short(value: float | None) -> str:
    """Return a number in short form: `40万`, `400k`."""
    if value is None or abs(value) < 10_000:
        return number(value)
    sign, unit = next(each for each in reversed(_UNITS[get_locale()]) if abs(value) >= each[1])
    return f"{value / unit:,.4g}{sign}"


def format_percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"


def format_day(value: date | None) -> Markup:
    """Return a day as HTML. A day is a day in Asia/Shanghai."""
    if value is None:
        return Markup("—")
    if isinstance(value, datetime):
        value = value.astimezone(SHANGHAI).date()
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), _DAY[get_locale()].format(value))


def format_month_day(value: date) -> str:
    """Return a day without its year."""
    return _MONTH_DAY[get_locale()].format(value)


def format_address(address: Any) -> str:
    """Return an address with its place; `—` for none."""
    return " ".join(str(part) for part in (describe_location(address), address) if part is not None) or "—"


def format_moment(value: datetime | None, zone: ZoneInfo) -> Markup:
    """Return a moment to the minute in the reader's zone. The offset is shown if it differs from China's."""
    if value is None:
        return Markup("—")
    local, locale = value.astimezone(zone), get_locale()
    shown = _MOMENT[locale].format(local, day=_DAY[locale].format(local))
    if local.utcoffset() != value.astimezone(SHANGHAI).utcoffset():
        shown += f" {_format_offset(local)}"
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), shown)


def _format_offset(local: datetime) -> str:
    """Return the offset, such as `UTC+1` or `UTC-3:30`."""
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}"


def get_zone(request: Request) -> ZoneInfo:
    """Return the reader's time zone, or China's until the browser reports one."""
    return _find_zone(request.cookies.get(ZONE, "Asia/Shanghai"))


@lru_cache(maxsize=600)
def _find_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name, or China's if there is no such zone."""
    try:
        return ZoneInfo(name) if len(name) < 50 else SHANGHAI
    except (ValueError, OSError, KeyError):  # a malformed name, a directory of zones, an unknown zone
        return SHANGHAI
