"""Access tokens (RFC 9068): the only module that touches python-jose, and that closes its gaps.

What python-jose leaves open and is closed here: it takes any algorithm it is not told to refuse, stray
characters in base64, headers of any depth and kind, claims that are absent or of the wrong type, and no
`typ`. A header of ours is always the same text for the same key, so an incoming one is never parsed: it is
looked up whole. Whatever differs from it by a byte (`alg`, `typ`, `kid`, `crit`, `jku`, `x5u`, a nested
bomb) is simply not a header of ours.

A token only says who calls and by which session; what they may do, and whether the session still lives, is
read from the database at each call (`app.authz.access`).
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

# python-jose carries no types.
jwk: Any = untyped_jwk
jwt: Any = untyped_jwt

ALGORITHM = "ES256"
TYPE = "at+jwt"
LIFETIME = 600
"""Seconds an access token lives; its session may end it sooner."""

_MAXIMUM = 4096
_SHAPE = re.compile(r"([A-Za-z0-9_-]{1,200})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})", re.ASCII)
_REQUIRED = {f"require_{claim}": True for claim in ("aud", "exp", "iss", "iat", "sub", "jti")}
_REMEMBERED = 4096
_RELOAD_UNKNOWN = 5.0
_RELOAD_AGED = 60.0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified token says. A service's token has no session: its subject is the client id."""

    subject: UUID | str
    session_id: UUID | None
    client_id: str
    scopes: frozenset[str]
    expires_at: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key as kept: it signs from `active_from` until a later one does, and verifies while kept."""

    kid: str
    private_pem: bytes
    active_from: datetime


def make_key(active_from: datetime) -> StoredKey:
    """A new P-256 key, its id being its RFC 7638 thumbprint."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = _public_members(jwk.construct(pem, ALGORITHM))
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode()
    return StoredKey(_base64url(hashlib.sha256(canonical).digest()), pem, active_from)


class _LoadedKey:
    __slots__ = ("active_from", "header", "kid", "private", "public")

    def __init__(self, stored: StoredKey) -> None:
        self.kid = stored.kid
        self.active_from = stored.active_from.timestamp()
        self.private: Key = jwk.construct(stored.private_pem, ALGORITHM)
        self.public: Key = self.private.public_key()
        # As jose writes it: sorted keys, no spaces.
        header = {"alg": ALGORITHM, "kid": stored.kid, "typ": TYPE}
        self.header = _base64url(json.dumps(header, separators=(",", ":"), sort_keys=True).encode())


class KeyRing:
    """The signing keys in memory.

    Loaded at the first use, again when a key of ours seems to be missing (at most every few seconds, so that
    made-up key ids cost nothing) and when the last load has aged. `generation` rises when the keys change.
    """

    def __init__(self, load: Callable[[], Awaitable[Iterable[StoredKey]]]) -> None:
        self._load = load
        self._by_header: dict[str, _LoadedKey] = {}
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()
        self.generation = 0

    async def refresh(self, older_than: float = 0.0) -> None:
        """Load the keys again where the last load is older than that many seconds."""
        asked_at = time.monotonic()
        async with self._loading:
            if self._loaded_at > asked_at - older_than:
                return
            began_at = time.monotonic()
            loaded = [_LoadedKey(stored) for stored in await self._load()]
            keys = {key.header: key for key in loaded}
            if keys.keys() != self._by_header.keys():
                self._by_header = keys
                self.generation += 1
            # What was asked for meanwhile is not answered by what was read before.
            self._loaded_at = began_at

    async def verifying(self, header: str) -> Key | None:
        """The public key whose tokens carry exactly this header."""
        if header not in self._by_header:
            await self.refresh(_RELOAD_UNKNOWN)
        found = self._by_header.get(header)
        return found.public if found else None

    async def signing(self) -> tuple[str, Key]:
        """The key id and private key to sign with now."""
        await self.refresh(_RELOAD_AGED)
        now = time.time()
        candidates = list(self._by_header.values())
        active = [key for key in candidates if key.active_from <= now] or candidates
        newest = max(active, key=lambda key: key.active_from)
        return newest.kid, newest.private

    async def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys as a JWK set (RFC 7517), those that will sign soon included."""
        await self.refresh(_RELOAD_AGED)
        shown = [_public_members(key.public) | {"kid": key.kid} for key in self._by_header.values()]
        return {"keys": [members | {"use": "sig", "alg": ALGORITHM} for members in shown]}


class TokenIssuer:
    def __init__(self, keys: KeyRing, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    async def issue(
        self,
        subject: UUID | str,
        *,
        client_id: str,
        session_id: UUID | None = None,
        scopes: Iterable[str] = (),
    ) -> str:
        """A signed access token that lives `LIFETIME` seconds."""
        kid, key = await self._keys.signing()
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": audience(self._issuer),
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
    """Verifies access tokens; a token seen before costs one look-up in a dictionary by its digest."""

    def __init__(self, keys: KeyRing, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._seen: OrderedDict[bytes, AccessToken] = OrderedDict()
        self._generation = 0

    async def verify(self, token: str) -> AccessToken:
        """What the token says; `Unauthorized` for anything that is not a live access token of ours."""
        if len(token) > _MAXIMUM or not token.isascii():
            raise _refused()
        digest = hashlib.sha256(token.encode()).digest()
        if self._generation != self._keys.generation:
            self._seen.clear()
            self._generation = self._keys.generation
        known = self._seen.get(digest)
        if known is not None:
            if known.expires_at > time.time():
                self._seen.move_to_end(digest)
                return known
            del self._seen[digest]
            raise _refused()
        verified = await self._verify(token)
        self._seen[digest] = verified
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return verified

    async def _verify(self, token: str) -> AccessToken:
        shaped = _SHAPE.fullmatch(token)
        # The last character of a signature has four bits to spare: only the one spelling we write is taken.
        if shaped is None or _base64url(base64.urlsafe_b64decode(shaped[3] + "==")) != shaped[3]:
            raise _refused()
        key = await self._keys.verifying(shaped[1])
        if key is None:
            raise _refused()
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=audience(self._issuer),
                issuer=self._issuer,
                options=_REQUIRED,
            )
            return _read(claims, audience(self._issuer))
        except Exception:  # whatever a hostile token makes a parser raise is a refusal
            raise _refused() from None


SIGNING_KEYS = Service[KeyRing]("signing_keys")
ISSUER = Service[TokenIssuer]("token_issuer")
VERIFIER = Service[TokenVerifier]("token_verifier")


def audience(issuer: str) -> str:
    """The resource that access tokens are for: the API."""
    return f"{issuer}/v1"


def _read(claims: dict[str, Any], expected_audience: str) -> AccessToken:
    texts = [claims[name] for name in ("sub", "client_id", "scope", "jti")]
    if not all(type(claim) is str for claim in texts) or claims["aud"] != expected_audience:
        raise ValueError
    if type(claims["exp"]) is not int or type(claims["iat"]) is not int:
        raise ValueError
    session = UUID(claims["sid"]) if "sid" in claims else None
    return AccessToken(
        subject=claims["sub"] if session is None else UUID(claims["sub"]),
        session_id=session,
        client_id=claims["client_id"],
        scopes=frozenset(claims["scope"].split()),
        expires_at=claims["exp"],
    )


def _refused() -> Unauthorized:
    problem = Unauthorized()
    problem.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return problem


def _public_members(key: Key) -> dict[str, str]:
    public: Any = key
    members = public.public_key().to_dict()
    return {name: members[name] for name in ("crv", "kty", "x", "y")}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
