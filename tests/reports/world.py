"""Worlds for the tests of reports: orgs, people and points with their histories, and a naive count of the figures.

The naive count is the definition of the figures, written as loops: it follows the edges at the end of the day, collects
the members, counts each person once, and adds up the events of the activated people. It uses no SQL of the service.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import SHANGHAI
from app.core.sort_keys import make_sort_key
from app.reports.periods import get_day_end
from app.schema.admins import OrgAdmin
from app.schema.auth import User, UserPhone
from app.schema.certification import Certification
from app.schema.members import Activation, Member, UnitMembership
from app.schema.orgs import Org, Unit
from tests.people import fresh_org_name


@dataclass
class Range:
    """A range of time. If `until` is None, it has not ended."""

    since: datetime
    until: datetime | None

    def is_valid_on(self, day: date) -> bool:
        """Return whether the range contains the end of a day."""
        end = get_day_end(day)
        return self.since < end and (self.until is None or self.until >= end)

    def overlaps(self, other: "Range") -> bool:
        """Return whether the ranges have an instant in common, or one begins where the other one ends."""
        return (other.until is None or self.since <= other.until) and (self.until is None or other.since <= self.until)


@dataclass
class MemberRow:
    """A member row with its unit memberships and its activations, each with their range of time."""

    org: UUID
    id: UUID
    phone: bytes
    unit_memberships: list[tuple[UUID | None, Range]]
    activations: list[tuple[UUID, Range]]
    former_phones: list[tuple[datetime, bytes]] = field(default_factory=list)

    def get_phone_on(self, day: date) -> bytes:
        return next((phone for until, phone in self.former_phones if until >= get_day_end(day)), self.phone)

    def find_user(self, day: date) -> UUID | None:
        return next((user for user, when in self.activations if when.is_valid_on(day)), None)

    def is_member_on(self, day: date, units: set[UUID] | None = None) -> bool:
        return any(when.is_valid_on(day) and (units is None or unit in units) for unit, when in self.unit_memberships)


@dataclass
class World:
    """Orgs with their units, certifications (`edges`), member rows, users with their phones, and events.

    `viewer` is the main admin of every org.
    """

    viewer: UUID
    orgs: list[UUID] = field(default_factory=list)
    names: dict[UUID, str] = field(default_factory=dict)
    units: dict[UUID, list[tuple[UUID, UUID | None]]] = field(default_factory=dict)
    edges: list[tuple[UUID, UUID, Range]] = field(default_factory=list)
    rows: list[MemberRow] = field(default_factory=list)
    users: list[UUID] = field(default_factory=list)
    phones: list[tuple[UUID, bytes, Range]] = field(default_factory=list)
    events: list[tuple[UUID, date, int]] = field(default_factory=list)

    def add_org(self, org: UUID) -> None:
        self.orgs.append(org)
        self.names[org] = fresh_org_name()
        upper, lower, other = uuid4(), uuid4(), uuid4()
        self.units[org] = [(upper, None), (lower, upper), (other, None)]

    def get_subtree(self, org: UUID, day: date) -> set[UUID]:
        found = {org}
        waiting = [org]
        while waiting:
            current = waiting.pop()
            for superior, subordinate, when in self.edges:
                if superior == current and when.is_valid_on(day) and subordinate not in found:
                    found.add(subordinate)
                    waiting.append(subordinate)
        return found

    def get_subordinates(self, org: UUID, day: date) -> set[UUID]:
        return {subordinate for superior, subordinate, when in self.edges if superior == org and when.is_valid_on(day)}

    def find_person(self, row: MemberRow, day: date) -> UUID | bytes:
        """Return the person of a row on a day: the user who is linked to the row, otherwise the user who has its phone,
        otherwise the phone."""
        phone = row.get_phone_on(day)
        having = (user for user, had, when in self.phones if had == phone and when.is_valid_on(day))
        return row.find_user(day) or next(having, phone)

    def find_phone(self, user: UUID) -> bytes | None:
        return next((phone for who, phone, when in self.phones if who == user and when.until is None), None)

    def is_unused(self, phone: bytes) -> bool:
        return all(had != phone or when.until is not None for _, had, when in self.phones)

    def count(self, orgs: set[UUID], day: date, days: int, units: set[UUID] | None = None) -> dict[str, Any]:
        """Return the figures that a report must show: the members of these orgs, or of `units` of them, at the end of
        the day, and their events of the `days` days that end with it."""
        rows = [row for row in self.rows if row.org in orgs and row.is_member_on(day, units)]
        people = {self.find_person(row, day) for row in rows}
        users = {user for row in rows if (user := row.find_user(day)) is not None}
        earned = [
            (user, points)
            for user, on, points in self.events
            if user in users and day - timedelta(days=days) < on <= day
        ]
        members, active = len(people), len({user for user, _ in earned})
        points = sum(points for _, points in earned)
        return {
            "withheld": False,
            "members": members,
            "activated": len(users),
            "active": active,
            "points": points,
            "points_per_head": round(points / members, 2) if members else None,
            "participation": round(active / members, 4) if members else None,
        }


def get_history_start() -> datetime:
    return datetime.now(SHANGHAI) - timedelta(days=40)


def make_world(chance: random.Random, viewer: UUID, *, orgs: int, people: int) -> World:
    """Return a random world: a tree of orgs with people, in which edges, unit memberships, activations and phones of
    users changed during the last forty days."""
    world = World(viewer)
    now = datetime.now(SHANGHAI) - timedelta(seconds=5)
    start = get_history_start()

    def ranges() -> Iterator[Range]:
        """Yield one to three consecutive ranges. Some begin or end at midnight, and the last one may be open."""
        cuts = sorted(_choose_moment(chance, start, now) for _ in range(chance.randrange(1, 7)))
        for since, until in zip(cuts[::2], [*cuts[1::2], None], strict=False):
            yield Range(since, until)

    for _ in range(orgs):
        world.add_org(uuid4())
    for index, org in enumerate(world.orgs[1:], start=1):
        for when in [Range(start, None)] if chance.random() < 0.5 else ranges():
            # The superior comes before the org in the list, so that the tree never has a cycle.
            superior = world.orgs[max(0, index - chance.randrange(1, 6))]
            world.edges.append((superior, org, when))
    world.users = [uuid4() for _ in range(people)]
    for user in world.users:
        phone = uuid4().bytes  # not of the seed: no other user of the database may have it
        for org in chance.sample(world.orgs, chance.choice([1, 1, 1, 2, 3])):
            units = [None, *(unit for unit, _ in world.units[org])]
            unit_memberships = [
                (unit, when) for unit in chance.sample(units, chance.choice([1, 1, 2])) for when in ranges()
            ]
            activations = [(user, when) for when in ranges()] if chance.random() < 0.8 else []
            world.rows.append(MemberRow(org, uuid4(), phone, unit_memberships, activations))
    # Two in three phones have had a user, some two in turn; the phones of the others are no rows' phones.
    for phone in dict.fromkeys(row.phone for row in world.rows):
        if chance.random() < 0.67:
            for when in ranges():
                busy = {who for who, _, other in world.phones if when.overlaps(other)}
                if free := [user for user in world.users if user not in busy]:
                    world.phones.append((chance.choice(free), phone, when))
    for user in world.users:
        for _ in range(chance.choice([0, 1, 4, 12])):
            day = now.date() - timedelta(days=chance.randrange(0, 31))
            world.events.append((user, day, chance.choice([-4, 1, 2, 3, 5, 8])))
    return world


def _choose_moment(chance: random.Random, start: datetime, end: datetime) -> datetime:
    at = start + (end - start) * chance.random()
    if chance.random() < 0.2:
        return at.replace(hour=0, minute=0, second=0, microsecond=0)
    return at


async def write_world(engine: AsyncEngine, world: World) -> None:
    """Write the orgs, people and histories of a world to the database. The events are not written: the tests send
    them."""
    async with engine.begin() as db:
        present = {user: (phone, when.since) for user, phone, when in world.phones if when.until is None}
        for user in world.users:
            phone, since = present.get(user, (uuid4().bytes, datetime.now(SHANGHAI)))
            await db.execute(insert(User).values(id=user, phone_cipher=b"-", phone_index=phone, phone_since=since))
        for user, phone, when in world.phones:
            if when.until is not None:
                former = {"user_id": user, "phone_index": phone, "since": when.since, "until": when.until}
                await db.execute(insert(UserPhone).values(former))
        for org in world.orgs:
            await db.execute(
                insert(Org).values(
                    id=org,
                    name=world.names[org],
                    pinyin="",
                    initials="",
                    sort_key=make_sort_key(world.names[org]),
                    region_code="320102",
                    kind="party",
                    main_admin_id=world.viewer,
                    created_by=world.viewer,
                )
            )
            await db.execute(insert(OrgAdmin).values(org_id=org, user_id=world.viewer))
            for unit, parent in world.units[org]:
                created = datetime.now(SHANGHAI) - timedelta(days=500)
                values = {"org_id": org, "id": unit, "parent_id": parent, "name": str(unit), "kind": "branch"}
                await db.execute(insert(Unit).values(**values, created_at=created))
        for superior, subordinate, when in world.edges:
            live = when.until is None
            await db.execute(
                insert(Certification).values(
                    superior_id=superior,
                    subordinate_id=subordinate,
                    subordinate_name=world.names[subordinate] if live else None,
                    state="live" if live else "ended",
                    requested_by=world.viewer,
                    certified_at=when.since,
                    ended_at=when.until,
                )
            )
        for row in world.rows:
            await write_row(db, row)


async def write_row(db: Any, row: MemberRow) -> None:
    live = any(when.until is None for _, when in row.unit_memberships)
    user = next((user for user, when in row.activations if when.until is None), None)
    if user is not None and not live:
        row.activations = [(user, Range(when.since, when.until or when.since)) for user, when in row.activations]
        user = None
    last = max((when.until for _, when in row.unit_memberships if when.until), default=None)
    await db.execute(
        insert(Member).values(
            org_id=row.org,
            id=row.id,
            user_id=user,
            name="王伟",
            pinyin="wangwei",
            initials="ww",
            phone_cipher=b"-",
            phone_index=row.phone,
            phone_last4_index=b"-",
            party=True,
            removed_at=None if live else last,
        )
    )
    for unit, when in row.unit_memberships:
        values = {"org_id": row.org, "member_id": row.id, "unit_id": unit}
        await db.execute(insert(UnitMembership).values(**values, since=when.since, until=when.until))
    for user_id, when in row.activations:
        values = {"org_id": row.org, "member_id": row.id, "user_id": user_id}
        await db.execute(insert(Activation).values(**values, since=when.since, until=when.until))
