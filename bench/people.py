"""Somebody new, for what is made while measuring."""

from uuid import UUID

import httpx

from bench.service import Measured
from devtools.demo.people import Person, fresh_name, fresh_phone

# The test provider's page is at the public address, which nobody listens at here.
_VERIFY = """
UPDATE users SET verified_name = $2, verified_at = now(), verification_method = 'alipay', party_member = true
WHERE id = $1
"""


def newcomer(measured: Measured, service: httpx.Client) -> Person:
    """Somebody who has just registered over HTTP, and whose real name and party are known."""
    person = Person(service, fresh_phone(), fresh_name())
    person.register()
    measured.sql(_VERIFY, id_of(person), person.name)
    return person


def id_of(person: Person) -> UUID:
    return UUID(person.call("GET", "/v1/me", 200)["id"])


def org_of(person: Person) -> str:
    """A new org that somebody registers and is the main admin of."""
    body = {"name": f"中共基准县{person.phone}委员会", "region_code": "320102", "kind": "party"}
    return str(person.call("POST", "/v1/orgs", 201, json=body)["id"])
