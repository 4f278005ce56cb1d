"""Translations: the language of a request, plural forms, values, and the isolation of concurrent requests."""

import asyncio

import httpx
import pytest
from markupsafe import Markup
from starlette.types import Message, Receive, Scope, Send

from app.core.i18n import (
    choose_locale,
    get_locale,
    gettext,
    join_words,
    ngettext,
    pgettext,
    plural_forms,
    set_locale,
    use_locale,
)
from app.middleware.locale import RequestLocale


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        (None, "zh"),
        ("", "zh"),
        ("en", "en"),
        ("EN-us,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en;q=0.3, zh-Hans;q=0.5", "zh"),
        ("zh;q=0.2, en;q=nan", "zh"),
        ("zh;q=0.2, en;q=7", "zh"),
        ("en;q=inf, zh;q=0.1", "zh"),
        ("fr-FR, en;q=0.8, zh;q=0.5", "en"),
        ("en;q=0", "zh"),
        ("fr", "zh"),
        ("*", "zh"),
        ("en;q=much", "zh"),
        ("english", "zh"),
        ("\xff\xfe,;;q=,en", "en"),
    ],
)
def test_accept_language_selects_the_preferred_supported_language(header: str | None, locale: str) -> None:
    headers = [] if header is None else [(b"accept", b"*/*"), (b"accept-language", header.encode("latin-1"))]
    assert choose_locale(headers) == locale


def test_english_plural_has_two_forms() -> None:
    assert [ngettext("已移除 {count} 人", count) for count in (0, 1, 2)] == [
        "已移除 0 人",
        "已移除 1 人",
        "已移除 2 人",
    ]
    assert plural_forms("已选 {count} 人") == {"other": "已选 {count} 人"}
    with use_locale("en"):
        assert [ngettext("已移除 {count} 人", count) for count in (0, 1, 2, 1234)] == [
            "0 people removed",
            "1 person removed",
            "2 people removed",
            "1,234 people removed",
        ]
        assert plural_forms("已选 {count} 人") == {"one": "{count} person chosen", "other": "{count} people chosen"}


def test_context_distinguishes_two_translations_of_one_text() -> None:
    assert gettext("关闭组织") == pgettext("audit", "关闭组织") == "关闭组织"
    with use_locale("en"):
        assert (gettext("关闭组织"), pgettext("audit", "关闭组织")) == ("Closing of the org", "Closed the organisation")
        assert join_words(["a", "b"]) == "a, b"
    assert join_words(["甲", "乙"]) == "甲、乙"


def test_markup_value_escapes_everything_else() -> None:
    text = gettext("{name}，{time}", name="<b>", time=Markup("<time>now</time>"))
    assert isinstance(text, Markup)
    assert text == "&lt;b&gt;，<time>now</time>"
    assert gettext("{name}，您好", name="<b>") == "<b>，您好"


async def test_concurrent_requests_do_not_share_their_language() -> None:
    both = asyncio.Barrier(2)

    async def greet(_: Scope, __: Receive, send: Send) -> None:
        first = gettext("您好")
        await both.wait()
        body = f"{first} {get_locale()} {await asyncio.to_thread(gettext, '您好')}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def ask(language: bytes) -> str:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise AssertionError

        headers = [(b"accept-language", language)]
        await RequestLocale(greet)({"type": "http", "headers": headers}, receive, send)
        return bytes(sent[1]["body"]).decode()

    async with asyncio.timeout(10):
        chinese, english = await asyncio.gather(ask(b"zh"), ask(b"en"))
    assert (chinese, english) == ("您好 zh 您好", "Hello en Hello")


async def test_request_does_not_inherit_the_previous_language(api: httpx.AsyncClient) -> None:
    async def title(headers: dict[str, str]) -> str:
        answer = await api.get("/v1/nowhere", headers={"Accept-Language": "", **headers})
        assert answer.headers["content-language"] == ("en" if headers else "zh")
        return str(answer.json()["title"])

    assert [await title(headers) for headers in ({"Accept-Language": "en"}, {}, {"Accept-Language": "en"})] == [
        "Not found",
        "未找到",
        "Not found",
    ]
    at_once = await asyncio.gather(*(title({"Accept-Language": "en"} if number % 2 else {}) for number in range(20)))
    assert at_once == ["未找到", "Not found"] * 10


def test_use_locale_restores_the_previous_language() -> None:
    set_locale("zh")
    with use_locale("en"), use_locale("zh"):
        assert get_locale() == "zh"
    assert get_locale() == "zh"
