"""Ten thousand consoles that wait for a scan, on an API process of their own."""

import asyncio
import hashlib
import resource
import secrets
import time
from statistics import median
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil

from app.auth.device_flow.authorizations import normalize_user_code
from bench.rows import Row
from bench.service import Measured
from bench.world import build_user_id

WAITING = 10_000
APPROVED = 200
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


def qr_waiters(measured: Measured) -> list[Row]:
    """Measure the rows `qr_waiters` and `qr_told`: the memory of each console that waits for a scan, and the time from
    an approval until the console's browser receives it."""
    waiting = WAITING // measured.scale.divisor
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    phones = [measured.sign_in(build_user_id(n)) for n in (1 + 10 * i for i in range(20))]
    with measured.run_process("waiting", ("-m", "app.cli", "serve"), "/readyz"):
        return asyncio.run(_wait_and_approve(measured, waiting, phones))


async def _wait_and_approve(measured: Measured, waiting: int, phones: list[dict[str, str]]) -> list[Row]:
    url = measured.addresses["waiting"]
    process = psutil.Process(measured.pids["waiting"])
    tickets = {
        normalize_user_code("".join(secrets.choice(LETTERS) for _ in range(8))): secrets.token_urlsafe(32)
        for _ in range(waiting + 200)
    }
    db = await asyncpg.connect(measured.superuser_url)
    await _insert_authorizations(db, tickets)
    consoles = [_Console(url, code, ticket) for code, ticket in tickets.items()]
    # The first two hundred include one-time costs; the memory of the others is per console.
    for begin in range(0, 200, 50):
        await asyncio.gather(*(console.open() for console in consoles[begin : begin + 50]))
    before = process.memory_info().rss
    for begin in range(200, len(consoles), 100):
        await asyncio.gather(*(console.open() for console in consoles[begin : begin + 100]))
    await asyncio.sleep(2)
    each = (process.memory_info().rss - before) / waiting / 1024
    listening = await db.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'xuezu listening'")
    times = []
    async with httpx.AsyncClient(base_url=url, timeout=30) as api:
        for n in range(min(APPROVED, waiting // 4)):
            console, phone = consoles[-1 - n], phones[n % len(phones)]
            scanned = await api.post("/v1/scans", json={"code": console.code}, headers=phone)
            if scanned.status_code == 429:
                await asyncio.sleep(2)
                continue
            scan = scanned.raise_for_status().json()
            number = await db.fetchval("SELECT number FROM device_authorizations WHERE user_code = $1", console.code)
            began = time.perf_counter()
            answer = await api.put(f"/v1/scans/{scan['id']}/approval", json={"number": number}, headers=phone)
            answer.raise_for_status()
            times.append((await asyncio.wait_for(console.approved, 10) - began) * 1000)
    await db.close()
    for console in consoles:
        console.close()
    times.sort()
    beside = f"{waiting:,} waiting; processes that listen: {listening}, each by one connection"
    return [
        Row.from_figure("qr_waiters", each, 25, note=f"KB of memory each; {beside}"),
        Row.from_figure(
            "qr_told",
            times[min(len(times) - 1, int(len(times) * 0.99))],
            12,
            note=f"ms of wall time; p99 of {len(times)}, with the approval's request; median {median(times):.1f}",
        ),
    ]


async def _insert_authorizations(db: asyncpg.Connection, tickets: dict[str, str]) -> None:
    """Insert the rows that `POST /oauth/device_authorization` and the call for a ticket would write. Rate limits
    prevent so many calls."""
    rows = [
        (
            code,
            secrets.token_urlsafe(12),
            hashlib.sha256(secrets.token_bytes(16)).digest(),
            hashlib.sha256(ticket.encode()).digest(),
        )
        for code, ticket in tickets.items()
    ]
    await db.executemany(
        "INSERT INTO device_authorizations (client_id, user_code, scan_code, device_code_hash, ticket_hash, device, "
        "number, interval_seconds, expires_at) "
        "VALUES ('xuezu-console', $1, $2, $3, $4, 'bench', 42, 5, now() + interval '20 min')",
        rows,
    )


class _Console(asyncio.Protocol):
    """The event stream of one browser. Only the last event is stored."""

    def __init__(self, url: str, code: str, ticket: str) -> None:
        parts = urlsplit(url)
        self.code = code
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._request = (
            f"GET /v1/device-authorizations/{code}/events HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Accept: text/event-stream\r\nCookie: xuezu_ticket={ticket}\r\n\r\n"
        ).encode()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self.pending: asyncio.Future[None] = loop.create_future()
        self.approved: asyncio.Future[float] = loop.create_future()
        self._transport, _ = await loop.create_connection(lambda: self, self._host, self._port)
        self._transport.write(self._request)
        await asyncio.wait_for(self.pending, 60)

    def data_received(self, data: bytes) -> None:
        if b" 200 " not in data[:15] and not self.pending.done() and data.startswith(b"HTTP"):
            self.pending.set_exception(RuntimeError(data[:200].decode()))
        if b"pending" in data and not self.pending.done():
            self.pending.set_result(None)
        if b"approved" in data and not self.approved.done():
            self.approved.set_result(time.perf_counter())

    def connection_lost(self, error: Exception | None) -> None:
        if not self.pending.done():
            self.pending.set_exception(error or ConnectionError("closed"))

    def close(self) -> None:
        self._transport.close()
