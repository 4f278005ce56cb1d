"""Signing in by phone code (S1): who gets in, who does not, and what is said of it."""

from tests.people import People


async def test_a_new_phone_registers_and_signs_in(people: People) -> None:
    person = await people.register()
    me = (await person.get("/v1/me")).json()
    assert me["phone"] == person.phone
    assert me["verified_name"] == person.name
    assert me["party_member"] is True
