"""A security key in software for the tests: it registers and answers WebAuthn challenges as a USB key does."""

import base64
import hashlib
import json
import os
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.people import Person

ORIGIN = "http://localhost:8000"


def encode_base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class SoftKey:
    """A security key in software. A test can set a wrong `origin` or `counter`. With `counts=False` the counter stays
    0, as in many real keys."""

    origin: str = ORIGIN
    counter: int = 0
    counts: bool = True
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the result of `navigator.credentials.create` for these options."""
        numbers = self.private.public_key().public_numbers()
        public_key = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + public_key
        data = self._build_authenticator_data(options["rp"]["id"], 0x41) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client_data = self._build_client_data("webauthn.create", options["challenge"])
        return self._build_credential(
            {
                "clientDataJSON": encode_base64url(client_data),
                "attestationObject": encode_base64url(attestation),
                "transports": ["usb"],
            }
        )

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the result of `navigator.credentials.get` for these options."""
        self.counter += self.counts
        data = self._build_authenticator_data(options["rpId"], 0x01)
        client_data = self._build_client_data("webauthn.get", options["challenge"])
        signed = data + hashlib.sha256(client_data).digest()
        return self._build_credential(
            {
                "clientDataJSON": encode_base64url(client_data),
                "authenticatorData": encode_base64url(data),
                "signature": encode_base64url(self.private.sign(signed, ec.ECDSA(hashes.SHA256()))),
            }
        )

    def _build_authenticator_data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.counter)

    def _build_client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _build_credential(self, response: dict[str, Any]) -> dict[str, Any]:
        name = encode_base64url(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}


async def request_challenge(person: Person, purpose: str) -> dict[str, Any]:
    challenge = await person.post("/v1/me/security-key-challenges", json={"purpose": purpose})
    assert challenge.status_code == 200, challenge.text
    found: dict[str, Any] = challenge.json()
    return found


async def send_registration(person: Person, key: SoftKey, **body: Any) -> httpx.Response:
    challenge = await request_challenge(person, "registration")
    given = {"challenge_id": challenge["id"], "name": "测试钥匙", "credential": key.create(challenge["options"])}
    return await person.post("/v1/me/security-keys", json=given | body)


async def send_proof(person: Person, key: SoftKey) -> httpx.Response:
    challenge = await request_challenge(person, "check")
    given = {"challenge_id": challenge["id"], "credential": key.get(challenge["options"])}
    return await person.put("/v1/me/security-key-check", json=given)


async def register_key(person: Person, *, counts: bool = True, **body: Any) -> SoftKey:
    """Register a new key of this person."""
    key = SoftKey(counts=counts)
    answer = await send_registration(person, key, **body)
    assert answer.status_code == 201, answer.text
    return key


async def forget_key_proof(db: AsyncConnection, person: Person) -> None:
    """Make the key proofs of the person's sessions a day old, so that they have expired."""
    statement = "UPDATE sessions SET key_checked_at = now() - interval '1 day' WHERE user_id = :id"
    await db.execute(text(statement), {"id": person.user_id})


async def prove_key(person: Person, key: SoftKey | None = None) -> SoftKey:
    """Prove a key in the person's session and return the key. If `key` is None, register a new key first."""
    key = key or await register_key(person)
    proved = await send_proof(person, key)
    assert proved.status_code == 200, proved.text
    return key
