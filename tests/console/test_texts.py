"""Texts of pages in both languages: errors, numbers, times, names."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import app.main  # noqa: F401 — imports the problems of every package
from app.console.frame.advice import get_advice
from app.console.frame.formats import (
    _find_zone,
    format_day,
    format_moment,
    format_month_day,
    format_percent,
    format_short,
)
from app.core.calendar import SHANGHAI
from app.core.i18n import Locale, gettext, number, use_locale
from app.web.errors import Problem

_PAGES = [Path(str(files(package))) for package in ("app.console", "devtools.phone")]
_TEXT = re.compile(r"[\u3001-\u9fff\uff00-\uffef]")
# Words of the API's advice that no page may show: methods, addresses, headers, fields.
_OF_CALLS = re.compile(
    r"\b(GET|PUT|POST|PATCH|DELETE|JSON|(?<!request )id|errors|state|leaving)\b"
    r"|/v1|…/|\?\w|\w_\w|kind:|Content-Type|Retry-After|`copy`|\(S\d"
)
# Problems that no page can meet.
_FOR_PROGRAMS = {"idempotency-key-reused", "not-your-review", "phone-codes-unavailable"}


def test_templates_contain_no_text_outside_messages() -> None:
    for source in (template for pages in _PAGES for template in pages.rglob("*.html")):
        bare = re.sub(r"\{[{%#].*?[}%#]\}", "", source.read_text(), flags=re.DOTALL).replace("中文", "")
        assert not _TEXT.search(bare), f"{source.name}: {_TEXT.search(bare)}"


def list_problem_kinds(problem: type[Problem]) -> Iterator[type[Problem]]:
    for kind in problem.__subclasses__():
        yield kind
        yield from list_problem_kinds(kind)


def render_in_both_languages(say: Callable[[], str]) -> Iterator[str]:
    for locale in get_args(Locale):
        with use_locale(locale):
            yield say()


def test_advice_on_pages_names_no_api_calls() -> None:
    of_calls = {
        (kind.slug, advice)
        for kind in list_problem_kinds(Problem)
        if hasattr(kind, "slug") and kind.slug not in _FOR_PROGRAMS
        for advice in render_in_both_languages(partial(get_advice, kind))
        if _OF_CALLS.search(advice)
    }
    assert of_calls == set()


def test_numbers_are_formatted_for_the_locale() -> None:
    assert [format_short(value) for value in (None, 0.5, 9_999, 400_000, 5_000_000)] == [
        "—",
        "0.50",
        "9,999",
        "40万",
        "500万",
    ]
    with use_locale("en"):
        assert [format_short(value) for value in (9_999, 400_000, 5_000_000)] == ["9,999", "400k", "5M"]
    assert (number(1234567), number(2.5), format_percent(0.3456)) == ("1,234,567", "2.50", "34.6%")


def test_moments_use_the_readers_zone_and_days_use_shanghai() -> None:
    at = datetime(2026, 11, 25, 16, 30, tzinfo=UTC)
    expected = {
        "Asia/Shanghai": "2026年11月26日 00:30",
        "Asia/Singapore": "2026年11月26日 00:30",
        "Europe/Berlin": "2026年11月25日 17:30 UTC+1",
        "America/St_Johns": "2026年11月25日 13:00 UTC-3:30",
    }
    for zone, shown in expected.items():
        written = format_moment(at, ZoneInfo(zone))
        assert written.striptags() == shown
        assert 'datetime="2026-11-25T16:30:00+00:00"' in written
        assert format_day(at).striptags() == "2026年11月26日"
    with use_locale("en"):
        assert format_moment(at, SHANGHAI).striptags() == "26 Nov 2026, 00:30"
        assert (format_day(at).striptags(), format_month_day(at.date())) == ("26 Nov 2026", "25 Nov")
    for wrong in ("", "Asia", "Nowhere/Here", "../../etc/passwd", "/etc/passwd", "A" * 5000, "\x00", "Asia/Shanghai\n"):
        assert _find_zone(wrong).key == "Asia/Shanghai", wrong


def test_right_to_left_name_does_not_reorder_its_sentence() -> None:
    assert gettext("{name}，您好", name="مريم") == "\u2068مريم\u2069，您好"
    assert gettext("{name}，您好", name="解晓东") == "解晓东，您好"
