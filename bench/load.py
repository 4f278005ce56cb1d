"""A cheap load client: raw keep-alive HTTP/1.1 over asyncio, in a process of its own."""

import asyncio
import multiprocessing
import secrets
import time
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import cycle, repeat
from math import inf
from typing import cast
from urllib.parse import urlsplit

import uvloop

from bench.cost import get_processor_seconds


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a run of requests."""

    answered: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Until:
    """The end of a run: after `seconds`, but after at least `least` and at most `most` requests.

    With `pids` the seconds are processor seconds of these processes, so that a busy machine does not shorten a run.
    """

    seconds: float = 0.0
    least: int = 1
    most: float = inf
    pids: tuple[int, ...] = ()

    def clock(self) -> float:
        return sum(map(get_processor_seconds, self.pids)) if self.pids else time.perf_counter()


class _Caller(asyncio.Protocol):
    """A connection that sends the next request as soon as the previous one is answered, until there is none."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float], failed: list[bytes]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._failed = failed
        self._read = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._send_next_request()

    def _send_next_request(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._sent = time.perf_counter()
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, separator, body = self._read.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        self._latencies.append(time.perf_counter() - self._sent)
        if b" 20" not in head[:12]:
            self._failed.append(self._read)
        self._read = b""
        self._send_next_request()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("closed"))


def _head(method: str, url: str, headers: dict[str, str]) -> str:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = (
        f"{method} {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        *(f"{name}: {said}" for name, said in headers.items()),
    )
    return "\r\n".join(lines) + "\r\n"


def _until(until: Until, requests: Iterable[bytes]) -> Iterator[bytes]:
    began = until.clock()
    for sent, request in enumerate(requests):
        if sent >= until.most or (sent >= until.least and until.clock() - began >= until.seconds):
            return
        yield request


async def _run(url: str, requests: Iterator[bytes], connections: int) -> Load:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    latencies: list[float] = []
    failed: list[bytes] = []
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(
            lambda: _Caller(requests, latencies, failed), parts.hostname, parts.port
        )
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    took = time.perf_counter() - began
    ordered = sorted(latencies)

    def percentile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    if failed:
        raise RuntimeError(f"{len(failed)} of {len(ordered)} requests for {parts.path} failed: {failed[0][:200]!r}")
    return Load(len(ordered), len(ordered) / took, percentile(0.5), percentile(0.95), percentile(0.99))


def _get(url: str, headers: dict[str, str], form: bytes | None, connections: int, until: Until) -> Load:
    if form is None:
        request = f"{_head('GET', url, headers)}\r\n".encode()
    else:
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form))}
        request = f"{_head('POST', url, headers | sent)}\r\n".encode() + form
    return _in_a_loop(_run(url, _until(until, repeat(request)), connections))


def _post(url: str, headers: dict[str, str], bodies: list[bytes], mark: bytes, connections: int, until: Until) -> Load:
    head = _head("POST", url, headers | {"Content-Type": "application/json"}).encode()
    requests = [b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body) for body in bodies]
    return _in_a_loop(_run(url, _until(until, _each_new(requests, mark)), connections))


def _each_new(requests: list[bytes], mark: bytes) -> Iterable[bytes]:
    if not mark:
        return requests
    return (request.replace(mark, secrets.token_hex(len(mark)).encode()[: len(mark)]) for request in cycle(requests))


def _in_a_loop(run: Coroutine[None, None, Load]) -> Load:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run)


def get(url: str, headers: dict[str, str], form: bytes | None = None, *, connections: int, until: Until) -> Load:
    """GET the same address, or POST the same form to it, repeatedly on `connections` connections."""
    return _process().submit(_get, url, headers, form, connections, until).result(600)


def post(
    url: str, headers: dict[str, str], bodies: list[bytes], mark: bytes, *, connections: int, until: Until
) -> Load:
    """POST the bodies repeatedly on `connections` connections. In each, `mark` is replaced by a new value; without a
    mark each body is sent once."""
    return _process().submit(_post, url, headers, bodies, mark, connections, until).result(600)


@cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
