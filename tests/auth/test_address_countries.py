"""The location of an address: found without a network, and correct for internal addresses."""

import socket
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.auth.address_countries import describe_location
from app.core.i18n import use_locale
from tests.auth.consoles import Console, scan
from tests.people import People


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1", ("本机", "This machine")),
        ("::1", ("本机", "This machine")),
        ("::ffff:127.0.0.1", ("本机", "This machine")),
        ("10.3.4.5", ("内网", "Inner network")),
        ("192.168.1.9", ("内网", "Inner network")),
        ("100.64.0.1", ("内网", "Inner network")),
        ("fe80::1", ("内网", "Inner network")),
        ("fd00::7", ("内网", "Inner network")),
        ("::ffff:10.0.0.1", ("内网", "Inner network")),
        ("203.0.113.9", ("内网", "Inner network")),
        ("114.114.114.114", ("中国", "China")),
        ("240e::1", ("中国", "China")),
        ("8.8.8.8", ("美国", "United States")),
        ("203.80.96.10", ("中国香港", "Hong Kong, China")),
        ("168.95.1.1", ("中国台湾", "Taiwan, China")),
        ("202.175.3.3", ("中国澳门", "Macao, China")),
        ("2003::1", ("德国", "Germany")),
    ],
)
def test_address_has_its_location_in_both_languages(
    monkeypatch: pytest.MonkeyPatch, address: str, place: tuple[str, str]
) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    chinese = describe_location(address)
    with use_locale("en"):
        assert (chinese, describe_location(address)) == place


def test_unknown_address_has_no_location() -> None:
    assert describe_location(None) is None
    assert describe_location("224.0.0.251") in {None, "内网"}


async def test_scan_and_sessions_show_the_location_of_the_address(app: FastAPI, people: People) -> None:
    """The list of sessions shows each location in the language of the request."""
    person = await people.register(verified=False, party=False)
    transport = httpx.ASGITransport(app, client=("8.8.8.8", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as far:
        scanned = await scan(person, await Console.request(far))
    assert (scanned["address"], scanned["place"]) == ("8.8.8.8", "United States")
    places = [
        (await person.get("/v1/me/sessions", headers={"Accept-Language": language})).json()["items"][0]["place"]
        for language in ("zh", "en")
    ]
    assert places == ["本机", "This machine"]
