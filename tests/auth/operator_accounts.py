"""Platform operators for the tests: enrolled as on the command line, with a security key proved over HTTP."""

from fastapi import FastAPI

from app.audit_log.entries import Actor
from app.auth.operators.operators import add_operator
from app.core.cipher import CIPHER
from app.database.db import ENGINE
from tests.auth.authenticator import prove_key, register_key
from tests.people import People, Person, fresh_phone


async def add_operator_account(app: FastAPI, phone: str) -> str:
    """Make the user with this phone an operator. Return the enrolment code for the first key."""
    async with ENGINE.get(app).begin() as db:
        return await add_operator(db, CIPHER.get(app), Actor(), phone, "张审核")


async def create_operator(app: FastAPI, people: People) -> Person:
    """Create an operator whose session has a proved key."""
    phone = fresh_phone()
    code = await add_operator_account(app, phone)
    person = await people.register(phone=phone, verified=False, party=False)
    await prove_key(person, await register_key(person, enrolment_code=code))
    return person
