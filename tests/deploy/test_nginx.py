"""The service behind a real nginx that runs deploy/nginx/xuezu.conf. Only its addresses and files are replaced."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.settings import Settings
from tests.auth.consoles import DESKTOP, Console
from tests.live import serve_in_thread
from tests.people import fresh_name, fresh_phone
from tests.processes import ROOT, find_free_port, wait_until

FILE = ROOT / "deploy" / "nginx" / "xuezu.conf"
NAME = "xuezu.example.cn"
STREAM = "/v1/device-authorizations/{user_code}/events"

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = pytest.mark.skipif(
    NGINX is None and not os.environ.get("XUEZU_REQUIRE_NGINX"), reason="nginx is not installed"
)


@dataclass
class Proxy:
    """A running nginx: `port` speaks TLS, `plain_port` does not."""

    port: int
    plain_port: int
    directory: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def call_from(self, address: str) -> httpx.AsyncClient:
        """Return a client that connects from this address of the machine."""
        trusted = ssl.create_default_context(cafile=str(self.directory / "xuezu.pem"))
        transport = httpx.AsyncHTTPTransport(verify=trusted, local_address=address)
        return httpx.AsyncClient(transport=transport, base_url=self.url, timeout=20)


def write_certificate(directory: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "xuezu.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "xuezu.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))


def replace_once(written: str, old: str, new: str) -> str:
    assert written.count(old) == 1, old
    return written.replace(old, new)


def write_configuration(proxy: Proxy, service_port: int) -> Path:
    """Write the file of the repository with this machine's addresses, and the main file that includes it."""
    directory, site = proxy.directory, FILE.read_text()
    for old, new in (
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{service_port};"),
        ("listen 80;", f"listen 127.0.0.1:{proxy.plain_port};"),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{proxy.port} ssl http2;"),
        ("/etc/nginx/xuezu.pem", str(directory / "xuezu.pem")),
        ("/etc/nginx/xuezu.key", str(directory / "xuezu.key")),
        ("/var/log/nginx/xuezu.log", str(directory / "xuezu.log")),
    ):
        site = replace_once(site, old, new)
    (directory / "site.conf").write_text(site.replace(NAME, "localhost"))
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = directory / "nginx.conf"
    main.write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {directory}/nginx.pid; worker_processes 1;\n"
        f"events {{ worker_connections 256; }}\n"
        f"http {{ access_log {directory}/access.log;\n{temporary} include {directory}/site.conf; }}\n"
    )
    return main


@pytest.fixture(scope="module")
def proxy(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    proxy = Proxy(find_free_port(), find_free_port(), tmp_path_factory.mktemp("nginx"))
    write_certificate(proxy.directory)
    behind = settings.model_copy(update={"trusted_proxies": "127.0.0.1"})
    with (
        serve_in_thread(behind, public_url=proxy.url) as service,
        run_nginx(proxy, int(service.rpartition(":")[2])),
    ):
        yield proxy


@contextmanager
def run_nginx(proxy: Proxy, service_port: int) -> Iterator[None]:
    """Run nginx in front of a service until the block ends. It accepts its files without a warning."""
    assert NGINX is not None
    main = write_configuration(proxy, service_port)
    command = [NGINX, "-e", str(proxy.directory / "error.log"), "-p", str(proxy.directory), "-c", str(main)]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", proxy.port)) == 0

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(answers)
        yield
    finally:
        process.terminate()
        process.wait(10)


async def find_seen_address(client: httpx.AsyncClient, db: AsyncConnection, forwarded: str | None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    answer = await client.post("/oauth/device_authorization", data={"client_id": DESKTOP}, headers=headers)
    assert answer.status_code == 200, answer.text
    stored = text("SELECT host(address) FROM device_authorizations WHERE user_code = :code")
    return str(await db.scalar(stored, {"code": answer.json()["user_code"]}))


async def test_service_sees_the_address_of_the_caller_and_believes_no_other(proxy: Proxy, db: AsyncConnection) -> None:
    async with proxy.call_from("127.0.0.2") as client:
        for forwarded in (None, "192.0.2.66", "192.0.2.66, 127.0.0.1", "unknown"):
            assert await find_seen_address(client, db, forwarded) == "127.0.0.2"


async def test_forms_come_from_the_origin_of_the_proxy_only(proxy: Proxy) -> None:
    path, body = "/v1/device-authorizations/WDJB-MJHT/ticket", {"device_code": "x" * 43}
    async with proxy.call_from("127.0.0.2") as client:
        for origin, status in ((proxy.url, 404), ("https://elsewhere.example", 403), (f"http{proxy.url[5:]}", 403)):
            assert (await client.put(path, json=body, headers={"Origin": origin})).status_code == status, origin
        page = await client.get("/console", follow_redirects=True)
    assert page.status_code == 200
    assert "max-age" in page.headers["strict-transport-security"]
    assert page.url.host == "localhost"
    assert str(page.url).startswith(proxy.url)


async def test_events_pass_at_once_and_the_stream_stays_open(proxy: Proxy) -> None:
    async with proxy.call_from("127.0.0.2") as client:
        console = await Console.request(client)
        path = STREAM.format(user_code=console.user_code)
        ticket = await client.put(path.replace("/events", "/ticket"), json={"device_code": console.device_code})
        assert ticket.status_code == 204
        async with client.stream("GET", path) as stream, asyncio.timeout(5):
            assert stream.headers["content-type"].startswith("text/event-stream")
            async for line in stream.aiter_lines():
                if line:  # the first event, while the answer goes on
                    break


async def test_proxy_speaks_http_2_and_sends_plain_calls_to_tls(proxy: Proxy) -> None:
    context = ssl.create_default_context(cafile=str(proxy.directory / "xuezu.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=context, server_hostname="localhost")
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.transport.abort()
    async with httpx.AsyncClient() as client:
        moved = await client.get(f"http://127.0.0.1:{proxy.plain_port}/livez?a=b", headers={"Host": "localhost"})
    assert (moved.status_code, moved.headers["location"]) == (301, "https://localhost/livez?a=b")


async def test_upload_of_the_largest_size_reaches_the_service(proxy: Proxy, settings: Settings) -> None:
    """The service refuses the body without a token (401); nginx alone would answer 413, and does so beyond."""
    assert f"client_max_body_size {settings.max_upload_mb + 1}m;" in FILE.read_text()
    path = "/v1/orgs/00000000-0000-7000-8000-000000000000/imports"
    async with proxy.call_from("127.0.0.2") as client:
        for size, statuses in ((settings.max_upload_mb, {401}), (settings.max_upload_mb + 2, {413})):
            sheet = {"file": ("people.xlsx", bytes(size * 1024 * 1024))}
            assert (await client.post(path, files=sheet)).status_code in statuses


async def test_caller_is_told_to_come_back_while_no_process_answers(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    alone = Proxy(find_free_port(), find_free_port(), tmp_path_factory.mktemp("alone"))
    write_certificate(alone.directory)
    name = fresh_name() + fresh_name()
    with run_nginx(alone, find_free_port()):
        async with alone.call_from("127.0.0.2") as client:
            away = await client.get(f"/v1/orgs?q={quote(name)}")
    assert (away.status_code, away.headers["retry-after"]) == (503, "2")
    assert away.headers["content-type"] == "application/problem+json"
    assert away.json()["type"] == "/problems/unavailable"
    assert_unlogged(alone.directory, name)


async def test_proxy_logs_nothing_that_people_search_for(proxy: Proxy) -> None:
    name, phone = fresh_name() + fresh_name(), fresh_phone()
    async with proxy.call_from("127.0.0.2") as client:
        await client.get("/v1/orgs", params={"q": name})
        await client.get(f"/join/{phone}")
    assert_unlogged(proxy.directory, name, phone)


def assert_unlogged(directory: Path, *secrets: str) -> None:
    for log in directory.glob("*.log"):
        for secret in secrets:
            assert secret not in log.read_text()
            assert quote(secret) not in log.read_text()
