"""Access tokens (RFC 9068). Only this module uses python-jose, and it adds the checks that python-jose lacks.

By default python-jose accepts any algorithm, stray characters in base64, headers of any depth and kind, absent
claims, claims of a wrong type and a missing `typ`. Our header is always the same text for the same key, so an incoming
header is never parsed: it is the lookup key of its signing key. A header that differs by one byte (`alg`, `typ`,
`kid`, `crit`, `jku`, `x5u`, deep nesting) is not found and is refused.

A token identifies only the caller and the session. Each call reads the permissions and the state of the session from
the database (`app.authz.access`).
"""

import asyncio
import base64
import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jose import jwk as untyped_jwk
from jose import jwt as untyped_jwt
from jose.backends.base import Key

from app.core.services import Service
from app.web.errors import Unauthorized

# python-jose has no type hints.
jwk: Any = untyped_jwk
jwt: Any = untyped_jwt

ALGORITHM = "ES256"
TYPE = "at+jwt"
LIFETIME = 600
"""The lifetime of an access token in seconds. It ends earlier with its session."""

_MAX_LENGTH = 4096
_SHAPE = re.compile(r"([A-Za-z0-9_-]{1,200})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})", re.ASCII)
_REQUIRED = {f"require_{claim}": True for claim in ("aud", "exp", "iss", "iat", "sub", "jti")}
_CACHE_SIZE = 4096
_RELOAD_UNKNOWN = 5.0  # seconds
_RELOAD_AGED = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The claims of a verified token. A service's token has no session; its subject is the client id."""

    subject: UUID | str
    session_id: UUID | None
    client_id: str
    scopes: frozenset[str]
    expires_at: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A stored signing key. It signs from `active_from` until a newer key signs, and verifies while it is stored."""

    kid: str
    private_pem: bytes
    active_from: datetime


def make_key(active_from: datetime) -> StoredKey:
    """Return a new P-256 key. Its id is its thumbprint (RFC 7638)."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = _build_public_jwk(jwk.construct(pem, ALGORITHM))
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode()
    return StoredKey(_encode_base64url(hashlib.sha256(canonical).digest()), pem, active_from)


class _LoadedKey:
    __slots__ = ("active_from", "header", "kid", "private", "public")

    def __init__(self, stored: StoredKey) -> None:
        self.kid = stored.kid
        self.active_from = stored.active_from.timestamp()
        self.private: Key = jwk.construct(stored.private_pem, ALGORITHM)
        self.public: Key = self.private.public_key()
        # python-jose writes sorted keys and no spaces, and the text must be equal to its header.
        header = {"alg": ALGORITHM, "kid": stored.kid, "typ": TYPE}
        self.header = _encode_base64url(json.dumps(header, separators=(",", ":"), sort_keys=True).encode())


class KeyRing:
    """The signing keys in memory.

    The keys are loaded at the first use, and again if the last load is old. They are also loaded again if a token has a
    header that belongs to no loaded key, but at most once in _RELOAD_UNKNOWN seconds, so that tokens with invented key
    ids cost nothing. `generation` rises when the keys change.
    """

    def __init__(self, load: Callable[[], Awaitable[Iterable[StoredKey]]]) -> None:
        self._load = load
        self._by_header: dict[str, _LoadedKey] = {}
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()
        self.generation = 0

    async def refresh(self, older_than: float = 0.0) -> None:
        """Load the keys again if the last load is older than this number of seconds."""
        requested_at = time.monotonic()
        async with self._loading:
            if self._loaded_at > requested_at - older_than:
                return
            began_at = time.monotonic()
            loaded = [_LoadedKey(stored) for stored in await self._load()]
            keys = {key.header: key for key in loaded}
            if keys.keys() != self._by_header.keys():
                self._by_header = keys
                self.generation += 1
            # A request that arrives during this load must load again: its key may be newer than what this load read.
            self._loaded_at = began_at

    async def find_public_key(self, header: str) -> Key | None:
        """Return the public key of the tokens with exactly this header; None if no key has it."""
        if header not in self._by_header:
            await self.refresh(_RELOAD_UNKNOWN)
        found = self._by_header.get(header)
        return found.public if found else None

    async def get_signing_key(self) -> tuple[str, Key]:
        """Return the id and the private key of the newest active key."""
        await self.refresh(_RELOAD_AGED)
        now = time.time()
        candidates = list(self._by_header.values())
        active = [key for key in candidates if key.active_from <= now] or candidates
        newest = max(active, key=lambda key: key.active_from)
        return newest.kid, newest.private

    async def build_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK set (RFC 7517), including keys that are not active yet."""
        await self.refresh(_RELOAD_AGED)
        public = [_build_public_jwk(key.public) | {"kid": key.kid} for key in self._by_header.values()]
        return {"keys": [members | {"use": "sig", "alg": ALGORITHM} for members in public]}


class TokenIssuer:
    """Signs access tokens."""

    def __init__(self, keys: KeyRing, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    async def issue(
        self,
        subject: UUID | str,
        *,
        client_id: str,
        scopes: Iterable[str],
        session_id: UUID | None = None,
    ) -> str:
        """Return a signed access token that expires after `LIFETIME` seconds. A person's token has at least one
        scope."""
        kid, key = await self._keys.get_signing_key()
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": build_audience(self._issuer),
            "sub": str(subject),
            "client_id": client_id,
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "exp": now + LIFETIME,
            "jti": uuid4().hex,
        }
        if session_id is not None:
            claims["sid"] = str(session_id)
        signed: str = jwt.encode(claims, key, algorithm=ALGORITHM, headers={"typ": TYPE, "kid": kid})
        return signed


class TokenVerifier:
    """Verifies access tokens, and caches them by digest: a repeated token costs one dictionary lookup."""

    def __init__(self, keys: KeyRing, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._cache: OrderedDict[bytes, AccessToken] = OrderedDict()
        self._generation = 0

    async def verify(self, token: str) -> AccessToken:
        """Return the claims of a valid token. Raises Unauthorized for everything else."""
        if len(token) > _MAX_LENGTH or not token.isascii():
            raise _invalid_token()
        digest = hashlib.sha256(token.encode()).digest()
        if self._generation != self._keys.generation:
            self._cache.clear()
            self._generation = self._keys.generation
        known = self._cache.get(digest)
        if known is not None:
            if known.expires_at > time.time():
                self._cache.move_to_end(digest)
                return known
            del self._cache[digest]
            raise _invalid_token()
        verified = await self._verify(token)
        self._cache[digest] = verified
        if len(self._cache) > _CACHE_SIZE:
            self._cache.popitem(last=False)
        return verified

    async def _verify(self, token: str) -> AccessToken:
        shaped = _SHAPE.fullmatch(token)
        # The last character of a signature has four unused bits. Only the spelling that we write is accepted.
        if shaped is None or _encode_base64url(base64.urlsafe_b64decode(shaped[3] + "==")) != shaped[3]:
            raise _invalid_token()
        key = await self._keys.find_public_key(shaped[1])
        if key is None:
            raise _invalid_token()
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=build_audience(self._issuer),
                issuer=self._issuer,
                options=_REQUIRED,
            )
            return _parse_claims(claims, build_audience(self._issuer))
        except Exception:  # a hostile token can make a parser raise any exception
            raise _invalid_token() from None


SIGNING_KEYS = Service[KeyRing]("signing_keys")
ISSUER = Service[TokenIssuer]("token_issuer")
VERIFIER = Service[TokenVerifier]("token_verifier")


def build_audience(issuer: str) -> str:
    """Return the `aud` claim of access tokens: the address of the API."""
    return f"{issuer}/v1"


def _parse_claims(claims: dict[str, Any], expected_audience: str) -> AccessToken:
    texts = [claims[name] for name in ("sub", "client_id", "scope", "jti")]
    if not all(type(claim) is str for claim in texts) or claims["aud"] != expected_audience:
        raise ValueError
    if type(claims["exp"]) is not int or type(claims["iat"]) is not int:
        raise ValueError
    session = UUID(claims["sid"]) if "sid" in claims else None
    if session is not None and not claims["scope"]:
        raise ValueError
    return AccessToken(
        subject=claims["sub"] if session is None else UUID(claims["sub"]),
        session_id=session,
        client_id=claims["client_id"],
        scopes=frozenset(claims["scope"].split()),
        expires_at=claims["exp"],
    )


def _invalid_token() -> Unauthorized:
    problem = Unauthorized()
    problem.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return problem


def _build_public_jwk(key: Key) -> dict[str, str]:
    public: Any = key
    members = public.public_key().to_dict()
    return {name: members[name] for name in ("crv", "kty", "x", "y")}


def _encode_base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
