"""The caller's address behind proxies: which header is believed, and of whom."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.networks import Networks, parse_network
from app.core.settings import ConfigurationError, Settings
from app.middleware.caller_address import MAX_HOPS, find_caller
from tests.auth.consoles import DESKTOP
from tests.live import serve_in_thread
from tests.people import fresh_phone

PROXIES = Networks([parse_network(given) for given in ("10.0.0.0/8", "2001:db8:a::/48", "203.0.113.1")])
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "caller"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("192.0.2.66, 198.51.100.7", "198.51.100.7"),
        ("192.0.2.66, 198.51.100.7, 10.9.9.9, 203.0.113.1", "198.51.100.7"),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
        (" 198.51.100.7:51234 ", "198.51.100.7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:443, 2001:db8:a:1::5", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, ::ffff:10.0.0.2", "198.51.100.7"),
        # An unreadable entry counts as the proxy that passed it on.
        ("unknown", PROXY),
        ("", PROXY),
        ("198.51.100.7,", PROXY),
        ("192.0.2.66, unknown, 10.9.9.9", "10.9.9.9"),
        ("198.51.100.7:x", PROXY),
        ("[2001:db8::7", PROXY),
        ("198.51.100.7%eth0", PROXY),
        ("198.51.100.007", PROXY),
        ("\x00198.51.100.7", PROXY),
        ("１９８.51.100.7".encode().decode("latin-1"), PROXY),
        ("198.51.100.7" + "0" * 100_000, PROXY),
        # No more than MAX_HOPS entries are read.
        ("198.51.100.7," * 1 + ",".join(["10.0.0.2"] * (MAX_HOPS - 1)), "198.51.100.7"),
        ("198.51.100.7," * 1 + ",".join(["10.0.0.2"] * MAX_HOPS), "10.0.0.2"),
        ("198.51.100.7," * 50_000 + ",".join(["10.0.0.2"] * MAX_HOPS), "10.0.0.2"),
    ],
)
def test_caller_is_the_last_address_that_is_no_trusted_proxy(forwarded: str, caller: str) -> None:
    assert find_caller(PROXY, [forwarded.encode("latin-1")], PROXIES) == caller


def test_lines_of_the_header_are_read_from_the_last_one() -> None:
    assert find_caller(PROXY, [b"192.0.2.66", b"198.51.100.7", b"10.0.0.2"], PROXIES) == "198.51.100.7"
    assert find_caller(PROXY, [b"198.51.100.7", *[b"10.0.0.2"] * MAX_HOPS], PROXIES) == "10.0.0.2"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("10.0.0.0/33", "10.0.0.0/33"),
        ("10.0.0.1/8", "10.0.0.1/8"),
        ("127.0.0.1, proxy.internal", "proxy.internal"),
        ("127.0.0.1,,::1", ""),
        ("*", "*"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_unusable_network_is_refused_at_the_start(given: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match="which is no network of proxies") as refused:
        Settings(trusted_proxies=given)
    assert str(refused.value).startswith(f"XUEZU_TRUSTED_PROXIES contains `{named}`")


async def find_seen_address(client: httpx.AsyncClient, db: AsyncConnection, **headers: str) -> str:
    """Return the address that the service stores for a call with these headers (`_` for `-`)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await client.post("/oauth/device_authorization", data={"client_id": DESKTOP}, headers=named)
    assert answer.status_code == 200, answer.text
    stored = text("SELECT host(address) FROM device_authorizations WHERE user_code = :code")
    return str(await db.scalar(stored, {"code": answer.json()["user_code"]}))


def call_from(app: FastAPI, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 5))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")


async def test_forwarded_address_is_believed_of_a_trusted_proxy_only(app: FastAPI, db: AsyncConnection) -> None:
    """The tests' service trusts the loopback addresses. `Forwarded` is of no effect."""
    for proxy in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
        async with call_from(app, proxy) as through_proxy:
            assert (
                await find_seen_address(through_proxy, db, X_Forwarded_For="192.0.2.66, 198.51.100.7") == "198.51.100.7"
            )
            assert await find_seen_address(through_proxy, db, Forwarded="for=192.0.2.66", X_Real_IP="192.0.2.66") in (
                *("127.0.0.1", "127.8.8.8", "::1"),
            )
    async with call_from(app, "203.0.113.99") as direct:
        assert await find_seen_address(direct, db, X_Forwarded_For="192.0.2.66") == "203.0.113.99"
    async with call_from(app, "::ffff:203.0.113.99") as direct:
        assert await find_seen_address(direct, db) == "203.0.113.99"


async def test_forwarded_header_is_not_believed_without_the_setting(settings: Settings, db: AsyncConnection) -> None:
    """The server believes no header either, from this machine as little as from elsewhere."""
    with serve_in_thread(settings.model_copy(update={"trusted_proxies": ""})) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            assert await find_seen_address(client, db, X_Forwarded_For="192.0.2.66") == "127.0.0.1"
            # The page of another origin cannot pass for the service's own by the scheme of a header.
            origin = url.replace("http:", "https:")
            ticket = {"Origin": origin, "X-Forwarded-Proto": "https"}
            body = {"device_code": "x" * 43}
            refused = await client.put("/v1/device-authorizations/WDJB-MJHT/ticket", json=body, headers=ticket)
            assert (refused.status_code, refused.json()["type"]) == (403, "/problems/foreign-origin")


@pytest.mark.parametrize(
    ("proxy", "scheme", "status"),
    [
        ("127.0.0.1", "https", 404),
        ("127.0.0.1", "http, HTTPS", 404),
        ("127.0.0.1", "https, http", 403),
        ("127.0.0.1", "javascript", 403),
        ("203.0.113.99", "https", 403),
    ],
)
async def test_scheme_is_believed_of_a_trusted_proxy_only(app: FastAPI, proxy: str, scheme: str, status: int) -> None:
    """The origin https://127.0.0.1:8000 is the service's own where the call came over https: 404 for an unknown
    code."""
    headers = {"Host": "127.0.0.1:8000", "Origin": "https://127.0.0.1:8000", "X-Forwarded-Proto": scheme}
    async with call_from(app, proxy) as client:
        path = "/v1/device-authorizations/WDJB-MJHT/ticket"
        assert (await client.put(path, json={"device_code": "x" * 43}, headers=headers)).status_code == status


async def test_limit_applies_to_every_address_but_a_proxy_that_calls_for_itself(
    app: FastAPI, settings: Settings, db: AsyncConnection
) -> None:
    full = text("INSERT INTO rate_limits VALUES (:key, now() + interval '1200 seconds')")
    for address in ("127.0.0.1", "127.3.3.3", "203.0.113.31"):
        await db.execute(full, {"key": f"code-address:{address}"})

    async def request_code(client: httpx.AsyncClient, **headers: str) -> int:
        body = {"phone": fresh_phone()}
        return (await client.post("/v1/phone-codes", json=body, headers=headers)).status_code

    try:
        async with call_from(app, "127.3.3.3") as proxy:
            assert await request_code(proxy) == 202
            assert await request_code(proxy, **{"X-Forwarded-For": "203.0.113.31"}) == 429
            assert await request_code(proxy, **{"X-Forwarded-For": "203.0.113.32"}) == 202
            for unreadable in ("unknown", "", "203.0.113.31.5"):
                assert await request_code(proxy, **{"X-Forwarded-For": unreadable}) == 429
        with serve_in_thread(settings.model_copy(update={"trusted_proxies": ""})) as url:
            async with httpx.AsyncClient(base_url=url) as client:
                assert await request_code(client) == 429
    finally:
        await db.execute(text("DELETE FROM rate_limits WHERE key LIKE 'code-address:127.%'"))
