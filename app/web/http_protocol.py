"""HTTP/1.1 on a connection: uvicorn's protocol, which here also answers requests that offer an upgrade.

A client may offer another protocol with any request (RFC 9110 §7.8): Java's HttpClient and `curl --http2` send
`Upgrade: h2c`. The service has no other protocol and answers in HTTP/1.1, which the client expects. But httptools stops
at the end of such a head and takes what follows for the other protocol, so the request would lose its body.
"""

import json

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.core.i18n import get_locale
from app.web.errors import MEDIA_TYPE, BadRequest, describe_problem

MAX_HEAD = 1 << 16
"""Bytes of a request's line and headers that may arrive before the head is complete. Proxies allow 32 KiB."""
_OFFER = {b"upgrade", b"http2-settings", b"connection"}


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol for HTTP/1.1. An upgrade that a client offers is declined, and the request is answered."""

    _unreadable = False
    """Whether an unreadable request waits for the answers of the requests before it."""
    _in_head = False
    _head_size = 0
    """Bytes that arrived after the part in which the head began."""
    _part_size = 0

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent. An unreadable request is answered with a problem, after the answers of the
        requests before it, and the connection ends: a client matches answers to requests by their order."""
        if self._unreadable:
            return
        self._unset_keepalive_if_required()
        remaining = data
        while True:
            try:
                self._part_size = len(remaining)
                self.parser.feed_data(remaining)
                self._head_size += len(remaining)
                if self._in_head and self._head_size > MAX_HEAD:
                    self._refuse_unreadable()
                return
            except httptools.HttpParserUpgrade as offer:
                if self.parser.get_method() == b"CONNECT":
                    self._refuse_unreadable()
                    return
                remaining = self._restart_without_offer() + remaining[offer.args[0] :]
            except httptools.HttpParserError:
                self._refuse_unreadable()
                return

    def on_message_begin(self) -> None:
        self._in_head, self._head_size = True, -self._part_size
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if self._unreadable and is_last and not self.transport.is_closing():
            self.send_400_response("")

    def _refuse_unreadable(self) -> None:
        """Answer an unreadable request, at once or after the answers of the requests before it."""
        self._unreadable = True
        cycle = self.cycle
        if cycle is not None and cycle.more_body and not cycle.response_complete:
            # The newest request is the unreadable one, by its body.
            if not self.pipeline:
                self.send_400_response("")
                return
            self.pipeline.popleft()  # the newest one
        elif cycle is None or cycle.response_complete:
            self.send_400_response("")

    def _restart_without_offer(self) -> bytes:
        """Start a new parser, and return the head of the request for it without the headers that offer the upgrade."""
        parser = self.parser
        head = [parser.get_method(), b" ", self.url, b" HTTP/", parser.get_http_version().encode(), b"\r\n"]
        for name, value in self.headers:
            if name not in _OFFER:
                head += [name, b": ", value, b"\r\n"]
        options = b",".join(value for name, value in self.headers if name == b"connection").split(b",")
        remaining = b",".join(option for option in options if option.strip().lower() not in _OFFER)
        head += [b"connection: ", remaining, b"\r\n"] if remaining else []
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"".join([*head, b"\r\n"])

    def send_400_response(self, msg: str) -> None:
        """Answer an unreadable request with a problem and close the connection. It is in Chinese: the headers that name
        another language are not known."""
        body = json.dumps(describe_problem(BadRequest(), None), ensure_ascii=False).encode()
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Content-Language": get_locale(),
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[400] + lines.encode() + b"\r\n" + body)
        self.transport.close()
