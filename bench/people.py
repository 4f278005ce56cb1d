"""New users for measurements."""

from uuid import UUID

import httpx

from bench.service import Measured
from devtools.demo.people import Person, fresh_name, fresh_phone

# The test provider's page is at the public address, where no process listens in a measurement.
_VERIFY = """
UPDATE users SET verified_name = $2, verified_at = now(), verification_method = 'alipay', party_member = true
WHERE id = $1
"""


def register_person(measured: Measured, service: httpx.Client) -> Person:
    """Register a user over HTTP, who is a party member and whose real name is verified."""
    person = Person(service, fresh_phone(), fresh_name())
    person.register()
    measured.query_value(_VERIFY, get_user_id(person), person.name)
    return person


def get_user_id(person: Person) -> UUID:
    return UUID(person.call("GET", "/v1/me", 200)["id"])


def create_org(person: Person) -> str:
    """Return the id of a new org that the person creates as main admin."""
    body = {"name": f"中共基准县{person.phone}委员会", "region_code": "320102", "kind": "party"}
    return str(person.call("POST", "/v1/orgs", 201, json=body)["id"])
