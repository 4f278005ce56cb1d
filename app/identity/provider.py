"""The interface of a provider that proves real names.

The person has given a name and an ID number. The provider begins an attempt and returns an address, where the person
proves, mostly with their face, that both are theirs. What the provider found out is only ever asked of the provider
itself (`fetch_result`): neither the browser that comes back nor a notification decides anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from app.core.cipher import Cipher
from app.core.services import Service
from app.core.settings import Settings


class Cause(StrEnum):
    """Why a provider has not done what it was asked."""

    UNREACHABLE = "unreachable"
    """It has not answered, or not as its protocol says. A later call may succeed."""
    OVERLOADED = "overloaded"
    """The account calls too often."""
    MISCONFIGURED = "misconfigured"
    """The key, the certificates or the contract of the account is not in order: the operator has to act."""
    UNTRUSTED = "untrusted"
    """The answer is not signed by the provider. Nothing in it counts."""
    UNKNOWN = "unknown"
    """It has refused for another cause."""


class IdentityFailed(Exception):
    """The provider has not done it. `code` is the provider's own. Nothing here contains a name or an ID number."""

    def __init__(self, cause: Cause = Cause.UNKNOWN, code: str | None = None) -> None:
        super().__init__(cause, code)
        self.cause = cause
        self.code = code


class BadNotification(Exception):
    """A notification that the provider did not sign, or that is about nothing of ours."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A person who begins: the name and the ID number that they have given, and the address to which the provider sends
    their browser afterwards. `id` is new for each attempt."""

    id: UUID
    name: str
    id_number: str
    return_url: str


class Started(NamedTuple):
    """An attempt at the provider: its token there (no secret), and the address that the person opens."""

    token: str
    url: str


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    """The person has declined, or is not the one that they say. It is final."""
    PENDING = "pending"
    """There is no result, or none yet."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the provider found out. Where it names the person that it has seen, they must be the one of the attempt."""

    outcome: Outcome
    name: str | None = None
    id_number: str | None = None


class Notification(NamedTuple):
    """What a signed notification says: the token of an attempt that has a result. With `finished`, an attempt that has
    not passed has failed."""

    token: str
    finished: bool = True


class IdentityProvider(Protocol):
    method: str
    """The value of `method` in the API: 2 to 40 lower-case letters, digits and `-`, and not `id-card`."""

    async def begin(self, attempt: Attempt) -> Started:
        """Begin an attempt. It is open for at least thirty minutes. Raises IdentityFailed."""

    async def fetch_result(self, token: str) -> Result:
        """Ask the provider for the result of an attempt. Raises IdentityFailed."""

    def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        """Check a notification and return what it is about. Raises BadNotification, also where the provider has
        none."""

    async def close(self) -> None:
        """Close the connections when the process stops."""


MakeIdentityProvider = Callable[[Settings, Cipher], IdentityProvider]
IdentityProviders = Mapping[str, IdentityProvider]
"""The providers of the settings by their methods, in the order of the settings."""
IDENTITY = Service[IdentityProviders]("identity")
