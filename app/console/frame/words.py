"""The words of the pages in two languages; times, numbers and places as the reader writes them."""

import unicodedata
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import Request
from markupsafe import Markup, escape

from app.auth.address_countries import place_of
from app.core.calendar import SHANGHAI
from app.web.errors import english

LANGUAGE = "xuezu-language"
ZONE = "xuezu-zone"
"""The cookie in which the pages' script says the reader's time zone."""
ENGLISH: dict[str, str] = orjson.loads(files("app.console").joinpath("english.json").read_bytes())


class Words:
    """Says things in the reader's language. The Chinese words are the key; `english.json` has the others. What follows
    a `|` is not said: it tells apart what only another language has two words for."""

    def __init__(self, *, in_english: bool, zone: ZoneInfo = SHANGHAI) -> None:
        self.in_english = in_english
        self.zone = zone
        self.language = "en" if in_english else "zh-CN"

    def __call__(self, chinese: str, **values: object) -> str:
        said = ENGLISH.get(chinese, chinese) if self.in_english else chinese.partition("|")[0]
        if not values:
            return said
        if any(isinstance(value, Markup) for value in values.values()):
            said = escape(said)
        return said.format(**{name: self._shown(value) for name, value in values.items()})

    def _shown(self, value: object) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self.number(value)
        return _isolated(value) if isinstance(value, str) else str(value)

    def number(self, value: float | None, digits: int | None = None) -> str:
        """With thousands set apart; `—` for none."""
        if value is None:
            return "—"
        if digits is None:
            digits = 0 if float(value).is_integer() else 2
        return f"{value:,.{digits}f}"

    def short(self, value: float | None) -> str:
        """A round number in little room: `40万`, `400k`."""
        if value is None or abs(value) < 10_000:
            return self.number(value)
        if not self.in_english:
            return f"{value / 10_000:,.4g}万"
        return f"{value / 1_000:,.4g}k" if abs(value) < 1_000_000 else f"{value / 1_000_000:,.4g}M"

    def percent(self, share: float | None) -> str:
        return "—" if share is None else f"{share:.1%}"

    def day(self, value: date | None) -> Markup:
        """A day, which is one in Asia/Shanghai for everybody."""
        if value is None:
            return Markup("—")
        if isinstance(value, datetime):
            value = value.astimezone(SHANGHAI).date()
        shown = (
            f"{value.day}\u00a0{value:%b}\u00a0{value.year}"
            if self.in_english
            else f"{value.year}年{value.month}月{value.day}日"
        )
        return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), shown)

    def month_day(self, value: date) -> str:
        """A day of a year that is known."""
        return f"{value.day} {value:%b}" if self.in_english else f"{value.month}月{value.day}日"

    def place(self, address: Any) -> str:
        """Where an address is, and which it is; `—` for none."""
        shown = (place_of(address, in_english=self.in_english), address)
        return " ".join(str(part) for part in shown if part is not None) or "—"

    def time(self, value: datetime | None) -> Markup:
        """A moment to the minute, in the reader's zone, which is said where it is not China's."""
        if value is None:
            return Markup("—")
        local = value.astimezone(self.zone)
        day = (
            f"{local.day}\u00a0{local:%b}\u00a0{local.year}, "
            if self.in_english
            else f"{local.year}年{local.month}月{local.day}日 "
        )
        zone = "" if local.utcoffset() == value.astimezone(SHANGHAI).utcoffset() else f" {_offset_of(local)}"
        return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), f"{day}{local:%H:%M}{zone}")


def _offset_of(local: datetime) -> str:
    """`UTC+1`, `UTC-3:30`."""
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}"


def _isolated(text: str) -> str:
    """A value that is read from right to left, kept from turning the sentence around it."""
    if any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text):
        return f"\u2068{text}\u2069"
    return text


@lru_cache(maxsize=600)
def _zone_named(name: str) -> ZoneInfo:
    """A time zone by its name in a cookie; China's for what names none."""
    try:
        return ZoneInfo(name) if len(name) < 50 else SHANGHAI
    except (ValueError, OSError, KeyError):  # no name of a zone at all; a folder of zones; one that there is not
        return SHANGHAI


def words_of(request: Request) -> Words:
    zone = _zone_named(request.cookies.get(ZONE, "Asia/Shanghai"))
    return Words(in_english=english(request), zone=zone)
