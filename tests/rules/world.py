"""A small world for the rules: three orgs under each other, with their people."""

from dataclasses import dataclass

from tests.acts import Json, add_admin, add_member, add_unit, certify, get_body, invite
from tests.people import People, Person


@dataclass
class World:
    """`org` is certified under `superior`, and `subordinate` under `org`.

    The org has a main admin, another admin, and a learner, whose row `member` is in `unit`. The stranger is verified
    and a party member, and belongs to no org. Tests that change an org create their own.
    """

    superior_admin: Person
    superior: Json
    main_admin: Person
    admin: Person
    org: Json
    unit: Json
    learner: Person
    member: Json
    subordinate_admin: Person
    subordinate: Json
    subordinate_member: Json
    stranger: Person

    @property
    def path(self) -> str:
        """The path of the org."""
        return f"/v1/orgs/{self.org['id']}"


async def create_world(people: People) -> World:
    superior_admin, main_admin, admin, subordinate_admin, stranger = [await people.register() for _ in range(5)]
    learner = await people.register(verified=False, party=False)
    superior = await superior_admin.create_org(region_code="320100")
    org, subordinate = await main_admin.create_org(), await subordinate_admin.create_org()
    await certify(superior_admin, superior, main_admin, org)
    await certify(main_admin, org, subordinate_admin, subordinate)
    await add_admin(main_admin, org, admin)
    unit = await add_unit(main_admin, org, "第一支部")
    return World(
        superior_admin=superior_admin,
        superior=superior,
        main_admin=main_admin,
        admin=admin,
        org=org,
        unit=unit,
        learner=learner,
        member=await add_member(main_admin, org, unit, name=learner.name, phone=learner.phone),
        subordinate_admin=subordinate_admin,
        subordinate=subordinate,
        subordinate_member=await add_member(subordinate_admin, subordinate, name="欧阳修远"),
        stranger=stranger,
    )


async def create_pair(people: People) -> tuple[Person, Json, Person, Json]:
    """Return a superior's admin and org, and the main admin and org of its subordinate, for a test to change."""
    superior_admin, founder = await people.register(), await people.register()
    superior, org = await superior_admin.create_org(), await founder.create_org()
    await certify(superior_admin, superior, founder, org)
    return superior_admin, superior, founder, org


async def move_org(admin: Person, org: Json, old: tuple[Person, Json], new: tuple[Person, Json]) -> Json:
    """Transfer the org from one superior to another, with the consent of both."""
    token = (await invite(*new))["token"]
    created = get_body(await admin.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token}), 201)
    preview = {"preview": created["preview"]["version"]}
    for (person, side), step in ((old, "release"), (new, "acceptance")):
        path = f"/v1/orgs/{side['id']}/transfers/{created['id']}/{step}"
        moved: Json = get_body(await person.put(path, json=preview))
    return moved


async def find_superior_id(person: Person, org: Json) -> str | None:
    found: str | None = get_body(await person.get(f"/v1/orgs/{org['id']}"))["superior_id"]
    return found


async def find_main_admin_id(person: Person, org: Json) -> str:
    return str(get_body(await person.get(f"/v1/orgs/{org['id']}"))["main_admin_id"])
