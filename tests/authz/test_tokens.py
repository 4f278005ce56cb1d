"""Access tokens: what is taken, and every forgery that is not. Each is shown to a real route."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from jose import jwe as untyped_jwe
from jose import jwt as untyped_jwt
from jose.backends.base import Key

from app.authz.tokens import SIGNING_KEYS, VERIFIER, make_key
from tests.people import People, Person

jwe: Any = untyped_jwe
jwt: Any = untyped_jwt


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(content: Any) -> str:
    return encoded(json.dumps(content, separators=(",", ":")).encode())


def decoded(segment: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(segment + "=="))


class Forge:
    """Writes tokens with the service's own key, changed as asked."""

    def __init__(self, kid: str, key: Key, good: str) -> None:
        self.kid = kid
        self.key: Any = key
        self.good = good
        self.header, self.claims = (decoded(segment) for segment in good.split(".")[:2])

    def signed(self, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
        """Signed rightly, whatever it says; a None takes a member out."""
        head = {name: value for name, value in (self.header | (header or {})).items() if value is not None}
        body = {name: value for name, value in (self.claims | (claims or {})).items() if value is not None}
        signing_input = f"{part(head)}.{part(body)}"
        return f"{signing_input}.{encoded(self.key.sign(signing_input.encode()))}"


@pytest.fixture(scope="module")
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


@pytest.fixture(scope="module")
async def forge(app: FastAPI, person: Person) -> Forge:
    keys = SIGNING_KEYS.of(app)
    return Forge(*await keys.signing(), person.token)


async def status(api: httpx.AsyncClient, token: str) -> int:
    answer = await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert token[:40] not in answer.text
    return answer.status_code


async def test_an_unchanged_token_is_taken(api: httpx.AsyncClient, forge: Forge) -> None:
    assert await status(api, forge.signed()) == 200
    assert await status(api, forge.good) == 200


@pytest.mark.parametrize("claim", ["aud", "exp", "iss", "sub", "iat", "jti", "client_id", "scope", "sid"])
async def test_a_missing_claim_is_refused(api: httpx.AsyncClient, forge: Forge, claim: str) -> None:
    assert await status(api, forge.signed(claims={claim: None})) == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 1},
        {"exp": str(int(time.time()) + 600)},
        {"exp": time.time() + 600.5},
        {"exp": True},
        {"exp": [9999999999]},
        {"iat": "now"},
        {"aud": ["http://localhost:8000/v1"]},
        {"aud": "http://localhost:8000"},
        {"aud": {}},
        {"iss": "https://evil.example"},
        {"iss": ["http://localhost:8000"]},
        {"sub": 7},
        {"sub": "not-a-uuid"},
        {"sid": "not-a-uuid"},
        {"sid": 7},
        {"scope": ["a"]},
        {"nbf": int(time.time()) + 600},
    ],
    ids=lambda claims: "-".join(f"{name}-{type(value).__name__}" for name, value in claims.items()),
)
async def test_a_wrong_claim_is_refused(api: httpx.AsyncClient, forge: Forge, claims: dict[str, Any]) -> None:
    assert await status(api, forge.signed(claims=claims)) == 401


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"typ": "refresh+jwt"},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"kid": None},
        {"kid": "unknown"},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
        {"kid": {"a": 1}},
        {"jku": "http://127.0.0.1:9/keys"},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"jwk": {"kty": "EC"}},
        {"x5c": ["MIIB"]},
        {"alg": "ES384"},
        {"alg": ["ES256"]},
        {"alg": None},
    ],
    ids=str,
)
async def test_a_header_not_ours_is_refused(api: httpx.AsyncClient, forge: Forge, header: dict[str, Any]) -> None:
    assert await status(api, forge.signed(header=header)) == 401


async def test_a_hostile_header_makes_no_call(api: httpx.AsyncClient, forge: Forge) -> None:
    """Neither while it is refused nor after: nobody comes to where it points."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        there = f"http://127.0.0.1:{listening.getsockname()[1]}/keys"
        for name in ("jku", "x5u", "kid", "iss", "typ"):
            assert await status(api, forge.signed(header={name: there})) == 401
        assert await status(api, forge.signed(claims={"iss": there})) == 401
        await asyncio.sleep(0.05)
        with pytest.raises(BlockingIOError):
            listening.accept()


async def test_a_session_of_somebody_else_is_not_taken_over(api: httpx.AsyncClient, forge: Forge) -> None:
    assert await status(api, forge.signed(claims={"sid": str(uuid4())})) == 401


async def test_the_algorithm_none_is_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    for alg in ("none", "None", "NONE", ""):
        unsigned = f"{part(forge.header | {'alg': alg})}.{part(forge.claims)}"
        for signature in ("", forge.good.split(".")[2]):
            assert await status(api, f"{unsigned}.{signature}") == 401


async def test_hs256_with_the_public_key_in_any_encoding_is_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    public = forge.key.public_key()
    known = public.prepared_key
    secrets = [
        public.to_pem(),
        public.to_pem().strip(),
        known.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        known.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        known.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        json.dumps(public.to_dict()).encode(),
        (await api.get("/oauth/jwks")).content,
    ]
    der = known.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = known.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    openssh = known.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    secrets += [public.to_pem().replace(b"\n", b"\r\n"), base64.b64encode(der), der.hex().encode(), openssh]
    secrets += [point[1:], point[1:33], point.hex().encode(), *public.to_dict()["x"].encode().splitlines(), b""]
    for secret in secrets:
        signing_input = f"{part(forge.header | {'alg': 'HS256'})}.{part(forge.claims)}"
        mac = hmac.digest(secret, signing_input.encode(), hashlib.sha256)
        assert await status(api, f"{signing_input}.{encoded(mac)}") == 401


async def test_another_key_is_refused_whatever_it_calls_itself(api: httpx.AsyncClient, forge: Forge) -> None:
    stranger = make_key(datetime.now(UTC))
    for kid in (stranger.kid, forge.kid):
        token = jwt.encode(
            forge.claims, stranger.private_pem.decode(), algorithm="ES256", headers={"typ": "at+jwt", "kid": kid}
        )
        assert await status(api, token) == 401


async def test_only_the_exact_spelling_is_taken(api: httpx.AsyncClient, forge: Forge) -> None:
    header, claims, signature = forge.good.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # The last character of a signature has spare bits: this decodes to the same bytes.
    twin = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(twin + "==") == base64.urlsafe_b64decode(signature + "==")
    for token in (
        forge.good + "!!!!",
        forge.good + "=",
        forge.good + ".",
        f"{header}.{claims}.{twin}",
        f"{header}.{claims}.!{signature}",
        f"{header}=.{claims}.{signature}",
        f"{header}.{claims}.{signature}.{signature}",
        f"{header}.{claims}",
        f"{header}..{signature}",
        "..",
        "x" * 50,
    ):
        assert await status(api, token) == 401, token


async def test_bombs_and_other_formats_are_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    _, claims, signature = forge.good.split(".")
    deep = encoded(b"[" * 2000)
    wide = encoded(b'{"alg":"ES256","typ":"at+jwt","x":"' + b"a" * 100_000 + b'"}')
    encrypted = jwe.encrypt(b"{}", "a" * 32, algorithm="dir", encryption="A256GCM").decode()
    for token in (f"{deep}.{claims}.{signature}", f"{wide}.{claims}.{signature}", encrypted, "a" * 60_000):
        assert await status(api, token) == 401


async def test_a_refresh_token_is_no_access_token(api: httpx.AsyncClient, person: Person) -> None:
    assert await status(api, person.refresh_token) == 401


async def test_other_schemes_are_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    for value in (
        f"Basic {forge.good}",
        forge.good,
        "Bearer",
        "Bearer ",
        f"Bearer {forge.good} {forge.good}",
        "Bearer \xff",
    ):
        answer = await api.get("/v1/me", headers={b"Authorization": value.encode("latin-1")})
        assert answer.status_code == 401, value


async def test_hostile_key_ids_cost_no_look_up(app: FastAPI, api: httpx.AsyncClient, forge: Forge) -> None:
    keys = SIGNING_KEYS.of(app)
    loads = 0
    load = keys._load

    async def counted() -> Any:
        nonlocal loads
        loads += 1
        return await load()

    keys._load = counted
    try:
        for _ in range(20):
            assert await status(api, forge.signed(header={"kid": encoded(uuid4().bytes + uuid4().bytes)})) == 401
    finally:
        keys._load = load
    assert loads <= 1


async def test_a_token_seen_before_costs_one_look_up_and_dies_with_its_time(
    app: FastAPI, api: httpx.AsyncClient, forge: Forge
) -> None:
    verifier = VERIFIER.of(app)
    short = forge.signed(claims={"exp": int(time.time()) + 2})
    assert await status(api, short) == 200
    assert await verifier.verify(short) is await verifier.verify(short)
    await asyncio.sleep(2.1)
    assert await status(api, short) == 401
