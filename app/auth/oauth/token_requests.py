"""The data of one call of the token endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.auth.devices import describe_device
from app.auth.oauth.protocol import Client
from app.authz.access import build_actor
from app.authz.tokens import ISSUER, TokenIssuer
from app.core.cipher import CIPHER, Cipher


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A call of an OAuth endpoint by an authenticated client."""

    db: AsyncConnection
    cipher: Cipher
    issuer: TokenIssuer
    client: Client
    form: Mapping[str, str]
    actor: Actor
    device: str | None


def build_token_request(request: Request, db: AsyncConnection, client: Client, form: Mapping[str, str]) -> TokenRequest:
    """Return the data that a grant needs: the parts of the HTTP request and of the process, with the client and form.

    The caller has authenticated the client.
    """
    actor = build_actor(request, client_id=client.id)
    return TokenRequest(db, CIPHER.get(request), ISSUER.get(request), client, form, actor, describe_device(request))
