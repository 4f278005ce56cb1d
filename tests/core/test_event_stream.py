"""The response class of event streams: the events it sends, and the four ways in which a stream ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.types import Message

from app.web import event_stream
from app.web.event_stream import Event, EventStream, OpenStreams

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}


class Browser:
    """A client that opens a stream and stores what it receives; `leave` closes the connection."""

    def __init__(self, events: AsyncIterator[Event], streams: OpenStreams) -> None:
        self.sent: list[Message] = []
        self._left = asyncio.Event()
        self._asked = False
        self.stream = asyncio.create_task(EventStream(events, streams)(SCOPE, self._receive, self._send))

    def leave(self) -> None:
        self._left.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 — what it looks at has no event
                await asyncio.sleep(0.01)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def ended(self) -> bool:
        return self.sent[-1].get("more_body") is False

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.sent.append(message)


class Source:
    """A source that sends one event and then waits for ever; `closed` shows whether it was closed."""

    closed = False

    async def events(self) -> AsyncIterator[Event]:
        try:
            yield Event("begun", '{"state": 1}')
            await asyncio.Event().wait()
        finally:
            self.closed = True


@pytest.fixture
def streams() -> OpenStreams:
    return OpenStreams()


async def test_stream_whose_source_ends_is_complete(streams: OpenStreams) -> None:
    async def events() -> AsyncIterator[Event]:
        yield Event("one", "1")
        yield Event("two", "2")

    browser = Browser(events(), streams)
    await browser.stream
    headers = dict(browser.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-accel-buffering"] == b"no"
    assert b"content-length" not in headers
    assert browser.body == b"event: one\r\ndata: 1\r\n\r\nevent: two\r\ndata: 2\r\n\r\n"
    assert browser.ended


async def test_silent_stream_sends_heartbeats(streams: OpenStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.02)
    browser = Browser(Source().events(), streams)
    await browser.until(lambda: browser.body.count(b":\r\n\r\n") >= 3)
    assert browser.body.startswith(b"event: begun")
    browser.leave()
    await browser.stream


async def test_source_is_closed_when_the_browser_leaves_the_stream(streams: OpenStreams) -> None:
    source = Source()
    browser = Browser(source.events(), streams)
    await browser.until(lambda: b"begun" in browser.body)
    browser.leave()
    await asyncio.wait_for(browser.stream, 1)
    assert source.closed


async def test_stopping_server_ends_present_and_later_streams(streams: OpenStreams) -> None:
    sources = [Source() for _ in range(3)]
    browsers = [Browser(source.events(), streams) for source in sources]
    for browser in browsers:
        await browser.until(lambda browser=browser: b"begun" in browser.body)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    streams.end_all()
    late = Browser(Source().events(), streams)
    await asyncio.wait_for(asyncio.gather(*(browser.stream for browser in [*browsers, late])), 1)
    assert all(browser.ended for browser in [*browsers, late])
    assert all(source.closed for source in sources)


async def test_error_of_the_source_aborts_the_connection(streams: OpenStreams) -> None:
    async def events() -> AsyncIterator[Event]:
        yield Event("one", "1")
        raise ConnectionError("the database is away")

    browser = Browser(events(), streams)
    with pytest.raises(ConnectionError):
        await browser.stream
    assert not browser.ended


async def test_stream_can_end_during_a_heartbeat(streams: OpenStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.001)

    async def events() -> AsyncIterator[Event]:
        for number in range(5):
            await asyncio.sleep(0.001)
            yield Event("event", str(number))

    browsers = [Browser(events(), streams) for _ in range(200)]
    await asyncio.wait_for(asyncio.gather(*(browser.stream for browser in browsers)), 20)
    for browser in browsers:
        assert browser.ended
        assert browser.body.replace(b":\r\n\r\n", b"").count(b"data: ") == 5
