"""A load client that needs little processor time: HTTP/1.1 keep-alive over asyncio protocols, in its own process."""

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
    """The result of a run of requests: their number, their rate, and percentiles of their times in milliseconds."""

    answered: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Until:
    """The condition that ends a run: `seconds` have passed and `least` requests were sent, or `most` requests were
    sent.

    With `pids` the seconds are processor seconds of these processes, so that a busy machine does not shorten a run.
    """

    seconds: float = 0.0
    least: int = 1
    most: float = inf
    pids: tuple[int, ...] = ()

    def read_clock(self) -> float:
        """Return the present time in seconds: of the clock, or with `pids` the processor time of these processes."""
        return sum(map(get_processor_seconds, self.pids)) if self.pids else time.perf_counter()


class _Caller(asyncio.Protocol):
    """A connection that sends each request of an iterator as soon as the previous request is answered."""

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


def _build_head(method: str, url: str, headers: dict[str, str]) -> str:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = (
        f"{method} {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        *(f"{name}: {said}" for name, said in headers.items()),
    )
    return "\r\n".join(lines) + "\r\n"


def _limit_requests(until: Until, requests: Iterable[bytes]) -> Iterator[bytes]:
    began = until.read_clock()
    for sent, request in enumerate(requests):
        if sent >= until.most or (sent >= until.least and until.read_clock() - began >= until.seconds):
            return
        yield request


async def _run_requests(url: str, requests: Iterator[bytes], connections: int) -> Load:
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

    def compute_percentile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

    if failed:
        raise RuntimeError(f"{len(failed)} of {len(ordered)} requests for {parts.path} failed: {failed[0][:200]!r}")
    return Load(
        len(ordered), len(ordered) / took, compute_percentile(0.5), compute_percentile(0.95), compute_percentile(0.99)
    )


def _send_copies(url: str, headers: dict[str, str], form: bytes | None, connections: int, until: Until) -> Load:
    if form is None:
        request = f"{_build_head('GET', url, headers)}\r\n".encode()
    else:
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form))}
        request = f"{_build_head('POST', url, headers | sent)}\r\n".encode() + form
    return _run_in_loop(_run_requests(url, _limit_requests(until, repeat(request)), connections))


def _send_bodies(
    url: str, headers: dict[str, str], bodies: list[bytes], mark: bytes, connections: int, until: Until
) -> Load:
    head = _build_head("POST", url, headers | {"Content-Type": "application/json"}).encode()
    requests = [b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body) for body in bodies]
    return _run_in_loop(_run_requests(url, _limit_requests(until, _renew_mark(requests, mark)), connections))


def _renew_mark(requests: list[bytes], mark: bytes) -> Iterable[bytes]:
    if not mark:
        return requests
    return (request.replace(mark, secrets.token_hex(len(mark)).encode()[: len(mark)]) for request in cycle(requests))


def _run_in_loop(run: Coroutine[None, None, Load]) -> Load:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run)


def get(url: str, headers: dict[str, str], form: bytes | None = None, *, connections: int, until: Until) -> Load:
    """Send the same request again and again on `connections` connections until `until`: a GET, or with `form` a
    POST."""
    return _get_process().submit(_send_copies, url, headers, form, connections, until).result(600)


def post(
    url: str, headers: dict[str, str], bodies: list[bytes], mark: bytes, *, connections: int, until: Until
) -> Load:
    """POST the bodies in turn, again and again, on `connections` connections until `until`.

    In each body, `mark` is replaced by a new value. If `mark` is empty, each body is sent at most once.
    """
    return _get_process().submit(_send_bodies, url, headers, bodies, mark, connections, until).result(600)


@cache
def _get_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
