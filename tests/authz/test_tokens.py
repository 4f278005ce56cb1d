"""Access tokens: valid ones are accepted and every forgery is refused. Each test calls a real route."""

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


def encode_base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encode_part(content: Any) -> str:
    return encode_base64url(json.dumps(content, separators=(",", ":")).encode())


def decode_part(segment: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(segment + "=="))


class Forge:
    """Signs tokens with the service's own key, after changes of the header or the claims."""

    def __init__(self, kid: str, key: Key, valid: str) -> None:
        self.kid = kid
        self.key: Any = key
        self.valid = valid
        self.header, self.claims = (decode_part(segment) for segment in valid.split(".")[:2])

    def sign(self, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
        """Return a correctly signed token with these changes; the value None removes a member."""
        head = {name: value for name, value in (self.header | (header or {})).items() if value is not None}
        body = {name: value for name, value in (self.claims | (claims or {})).items() if value is not None}
        signing_input = f"{encode_part(head)}.{encode_part(body)}"
        return f"{signing_input}.{encode_base64url(self.key.sign(signing_input.encode()))}"


@pytest.fixture(scope="module")
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


@pytest.fixture(scope="module")
async def forge(app: FastAPI, person: Person) -> Forge:
    keys = SIGNING_KEYS.get(app)
    return Forge(*await keys.get_signing_key(), person.token)


async def read_status(api: httpx.AsyncClient, token: str) -> int:
    answer = await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert token[:40] not in answer.text
    return answer.status_code


async def test_unchanged_token_is_accepted(api: httpx.AsyncClient, forge: Forge) -> None:
    assert await read_status(api, forge.sign()) == 200
    assert await read_status(api, forge.valid) == 200


@pytest.mark.parametrize("claim", ["aud", "exp", "iss", "sub", "iat", "jti", "client_id", "scope"])
async def test_missing_claim_is_refused(api: httpx.AsyncClient, forge: Forge, claim: str) -> None:
    assert await read_status(api, forge.sign(claims={claim: None})) == 401


async def test_token_without_a_session_is_a_services_and_not_allowed(api: httpx.AsyncClient, forge: Forge) -> None:
    assert await read_status(api, forge.sign(claims={"sid": None})) == 403


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
        {"nbf": int(time.time()) + 86_400},  # this list is made when the run begins
    ],
    ids=lambda claims: "-".join(f"{name}-{type(value).__name__}" for name, value in claims.items()),
)
async def test_wrong_claim_is_refused(api: httpx.AsyncClient, forge: Forge, claims: dict[str, Any]) -> None:
    assert await read_status(api, forge.sign(claims=claims)) == 401


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
async def test_changed_header_is_refused(api: httpx.AsyncClient, forge: Forge, header: dict[str, Any]) -> None:
    assert await read_status(api, forge.sign(header=header)) == 401


async def test_hostile_header_causes_no_connection(api: httpx.AsyncClient, forge: Forge) -> None:
    """The service does not connect to an address in a header, neither during the refusal nor later."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/keys"
        for name in ("jku", "x5u", "kid", "iss", "typ"):
            assert await read_status(api, forge.sign(header={name: address})) == 401
        assert await read_status(api, forge.sign(claims={"iss": address})) == 401
        await asyncio.sleep(0.05)
        with pytest.raises(BlockingIOError):
            listening.accept()


async def test_unknown_session_id_is_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    assert await read_status(api, forge.sign(claims={"sid": str(uuid4())})) == 401


async def test_algorithm_none_is_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    for alg in ("none", "None", "NONE", ""):
        unsigned = f"{encode_part(forge.header | {'alg': alg})}.{encode_part(forge.claims)}"
        for signature in ("", forge.valid.split(".")[2]):
            assert await read_status(api, f"{unsigned}.{signature}") == 401


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
        signing_input = f"{encode_part(forge.header | {'alg': 'HS256'})}.{encode_part(forge.claims)}"
        mac = hmac.digest(secret, signing_input.encode(), hashlib.sha256)
        assert await read_status(api, f"{signing_input}.{encode_base64url(mac)}") == 401


async def test_foreign_key_is_refused_under_any_kid(api: httpx.AsyncClient, forge: Forge) -> None:
    stranger = make_key(datetime.now(UTC))
    for kid in (stranger.kid, forge.kid):
        token = jwt.encode(
            forge.claims, stranger.private_pem.decode(), algorithm="ES256", headers={"typ": "at+jwt", "kid": kid}
        )
        assert await read_status(api, token) == 401


async def test_other_spellings_of_a_token_are_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    header, claims, signature = forge.valid.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # The last character of a signature has unused bits, so this spelling decodes to the same bytes.
    twin = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert base64.urlsafe_b64decode(twin + "==") == base64.urlsafe_b64decode(signature + "==")
    for token in (
        forge.valid + "!!!!",
        forge.valid + "=",
        forge.valid + ".",
        f"{header}.{claims}.{twin}",
        f"{header}.{claims}.!{signature}",
        f"{header}=.{claims}.{signature}",
        f"{header}.{claims}.{signature}.{signature}",
        f"{header}.{claims}",
        f"{header}..{signature}",
        "..",
        "x" * 50,
    ):
        assert await read_status(api, token) == 401, token


async def test_oversized_and_foreign_formats_are_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    _, claims, signature = forge.valid.split(".")
    deep = encode_base64url(b"[" * 2000)
    wide = encode_base64url(b'{"alg":"ES256","typ":"at+jwt","x":"' + b"a" * 100_000 + b'"}')
    encrypted = jwe.encrypt(b"{}", "a" * 32, algorithm="dir", encryption="A256GCM").decode()
    for token in (f"{deep}.{claims}.{signature}", f"{wide}.{claims}.{signature}", encrypted, "a" * 60_000):
        assert await read_status(api, token) == 401


async def test_refresh_token_is_refused_as_access_token(api: httpx.AsyncClient, person: Person) -> None:
    assert await read_status(api, person.refresh_token) == 401


async def test_other_authorization_schemes_are_refused(api: httpx.AsyncClient, forge: Forge) -> None:
    for value in (
        f"Basic {forge.valid}",
        forge.valid,
        "Bearer",
        "Bearer ",
        f"Bearer {forge.valid} {forge.valid}",
        "Bearer \xff",
    ):
        answer = await api.get("/v1/me", headers={b"Authorization": value.encode("latin-1")})
        assert answer.status_code == 401, value


async def test_unknown_key_ids_cause_at_most_one_load(app: FastAPI, api: httpx.AsyncClient, forge: Forge) -> None:
    keys = SIGNING_KEYS.get(app)
    loads = 0
    load = keys._load

    async def count_load() -> Any:
        nonlocal loads
        loads += 1
        return await load()

    keys._load = count_load
    try:
        for _ in range(20):
            assert (
                await read_status(api, forge.sign(header={"kid": encode_base64url(uuid4().bytes + uuid4().bytes)}))
                == 401
            )
    finally:
        keys._load = load
    assert loads <= 1


async def test_cached_token_is_refused_after_it_expires(app: FastAPI, api: httpx.AsyncClient, forge: Forge) -> None:
    verifier = VERIFIER.get(app)
    short = forge.sign(claims={"exp": int(time.time()) + 2})
    assert await read_status(api, short) == 200
    assert await verifier.verify(short) is await verifier.verify(short)
    await asyncio.sleep(2.1)
    assert await read_status(api, short) == 401
