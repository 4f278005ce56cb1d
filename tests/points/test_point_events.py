"""The ledger over HTTP: counted events, refused events, and repeated events, which count once."""

import asyncio
import random
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor
from app.authz.access import ServiceScope
from app.core.calendar import SHANGHAI
from app.core.cipher import CIPHER, Cipher
from app.core.services import SETTINGS
from app.core.settings import make_key
from app.points.operations import record_point_events
from app.points.schemas import PointEventsCreate, PointEventsOut
from tests.people import People, Person, fresh_phone
from tests.points.services import PointsService, event, sign_in_service


async def register_learner(people: People) -> Person:
    return await people.register(verified=False, party=False)


async def read_points(person: Person, **params: Any) -> dict[str, Any]:
    answer = await person.get("/v1/me/points", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_events_by_id_and_by_phone_count_for_the_user(people: People, service: PointsService) -> None:
    person = await register_learner(people)
    outcomes = await service.outcomes(
        event(person.user_id, points=3), event(phone=f"+86 {person.phone}", points=4, kind="video")
    )
    assert outcomes == ["counted", "counted"]
    mine = await read_points(person)
    assert (mine["total"], mine["last_7_days"]) == (7, 7)
    assert [day["kinds"] for day in mine["days"]] == [{"article": 3, "video": 4}]
    assert mine["days"][0]["points"] == 7
    assert mine["days"][0]["events"] == 2


async def test_batch_with_repeated_ids_uses_a_custom_plan(
    app: FastAPI, service: PointsService, engine: AsyncEngine
) -> None:
    """From the sixth execution on PostgreSQL would use a generic plan, which is slow for a thousand events."""
    scope = ServiceScope(service.source, frozenset(), Actor())
    cipher = CIPHER.get(app)
    async with engine.begin() as db:
        for _ in range(8):
            twice = event(str(uuid4()))
            sent = PointEventsCreate.model_validate({"events": [twice, twice]})
            await record_point_events(db, cipher, scope, sent.events)
        planned = text(
            "SELECT custom_plans >= 8, generic_plans FROM pg_prepared_statements WHERE statement LIKE :written"
        )
        plans = (await db.execute(planned, {"written": "%INTO point_event_keys%ON CONFLICT DO NOTHING%"})).all()
    assert plans == [(True, 0)]


async def test_repeated_event_with_other_content_counts_once(people: People, service: PointsService) -> None:
    person, other = await register_learner(people), await register_learner(people)
    first = event(person.user_id, points=3)
    assert await service.outcomes(first) == ["counted"]
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    long_ago = (datetime.now(UTC) - timedelta(days=100)).isoformat()
    again = [
        first,
        first | {"points": 50},
        first | {"user_id": other.user_id},
        first | {"occurred_at": yesterday},
        first | {"occurred_at": long_ago},
    ]
    for retry in again:
        assert await service.outcomes(retry) == ["duplicate"]
    assert (await read_points(person))["total"] == 3
    assert (await read_points(other))["total"] == 0


async def test_id_repeated_in_a_batch_counts_once(people: People, service: PointsService) -> None:
    person = await register_learner(people)
    once = event(person.user_id, points=3)
    unknown = once | {"user_id": "00000000-0000-7000-8000-000000000000"}
    batch = [unknown, once, once | {"points": 9}]
    assert await service.outcomes(*batch) == ["unknown-user", "counted", "duplicate"]
    assert await service.outcomes(*batch) == ["duplicate", "duplicate", "duplicate"]
    assert (await read_points(person))["total"] == 3


async def test_same_id_from_two_services_counts_twice(
    people: People, service: PointsService, api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    person = await register_learner(people)
    other = await sign_in_service(api, engine)
    sent = event(person.user_id, points=2)
    assert await service.outcomes(sent) == ["counted"]
    assert await other.outcomes(sent) == ["counted"]
    assert (await read_points(person))["total"] == 4


async def test_refused_event_sent_again_is_counted(people: People, service: PointsService) -> None:
    phone = fresh_phone()
    early = event(phone=phone)
    assert await service.outcomes(early) == ["unknown-user"]
    person = await people.register(phone=phone, verified=False, party=False)
    assert await service.outcomes(early) == ["counted"]
    assert (await read_points(person))["total"] == 5


async def test_events_of_closed_account_do_not_count(
    people: People, service: PointsService, db: AsyncConnection
) -> None:
    person = await register_learner(people)
    assert await service.outcomes(event(person.user_id)) == ["counted"]
    closing = "UPDATE users SET status = 'closed', phone_index = NULL, phone_cipher = NULL WHERE id = :id"
    await db.execute(text(closing), {"id": person.user_id})
    assert await service.outcomes(event(person.user_id)) == ["closed-account"]
    assert await service.outcomes(event(phone=person.phone)) == ["unknown-user"]
    counted_points = await db.scalar(
        text("SELECT sum(points) FROM point_events WHERE user_id = :id"), {"id": person.user_id}
    )
    assert counted_points == 5


class Phones:
    """Writes which account had which phone in the past days."""

    def __init__(self, db: AsyncConnection, cipher: Cipher) -> None:
        self.db, self.cipher = db, cipher

    async def set(self, person: Person, since: datetime, phone: str | None = None) -> None:
        index = self.cipher.index_phone(phone or person.phone)
        changed = text("UPDATE users SET phone_index = :index WHERE id = :id")
        await self.db.execute(changed, {"index": index, "id": person.user_id})
        started = text("UPDATE users SET phone_since = :since WHERE id = :id")
        await self.db.execute(started, {"since": since, "id": person.user_id})

    async def add_former(self, person: Person, phone: str, since: datetime, until: datetime) -> None:
        written = text(
            "INSERT INTO user_phones (user_id, phone_index, since, until) VALUES (:id, :index, :since, :until)"
        )
        values = {"id": person.user_id, "index": self.cipher.index_phone(phone), "since": since, "until": until}
        await self.db.execute(written, values)


@pytest.fixture
async def phones(db: AsyncConnection, app: FastAPI) -> Phones:
    return Phones(db, CIPHER.get(app))


def at(days_ago: int, hour: int) -> datetime:
    return datetime.combine(datetime.now(SHANGHAI).date() - timedelta(days=days_ago), time(hour), SHANGHAI)


async def test_events_by_phone_count_for_the_user_who_had_it(
    people: People, service: PointsService, phones: Phones
) -> None:
    """The phone changes hands two days ago: one account gives it up at ten, another one gets it at twelve."""
    before, now = await register_learner(people), await register_learner(people)
    phone = now.phone
    await phones.add_former(before, phone, at(9, 8), at(2, 10))
    await phones.set(now, at(2, 12))
    times = {at(10, 8): None, at(9, 7): before, at(9, 8): before, at(3, 23): before, at(2, 9): before}
    times |= {at(2, 11): before, at(2, 12): now, at(1, 0): now, datetime.now(SHANGHAI): now}
    sent = [event(phone=phone, occurred_at=when.isoformat(), points=1) for when in times]
    outcomes = await service.outcomes(*sent)
    assert outcomes == ["counted" if user else "unknown-user" for user in times.values()]
    for person in (before, now):
        counted = sum(user is person for user in times.values())
        assert (await read_points(person))["total"] == counted
    assert await service.outcomes(*sent[1:]) == ["duplicate"] * 8


async def test_events_of_days_before_a_phone_change_do_not_count_for_the_new_user(
    people: People, service: PointsService, phones: Phones
) -> None:
    """The phone of an account is changed, and a second account registers it: both by the triggers of the database."""
    person = await register_learner(people)
    await phones.set(person, at(20, 8))
    await phones.set(person, datetime.now(SHANGHAI), fresh_phone())
    newcomer = await people.register(phone=person.phone, verified=False, party=False)
    late = event(phone=person.phone, occurred_at=at(3, 8).isoformat(), points=2)
    assert await service.outcomes(late, event(phone=person.phone, points=7)) == ["counted", "counted"]
    assert (await read_points(person))["total"] == 2
    assert (await read_points(newcomer))["total"] == 7


async def test_events_by_the_phone_of_a_closed_account_count_for_nobody(
    people: People, service: PointsService, phones: Phones, db: AsyncConnection
) -> None:
    person = await register_learner(people)
    await phones.set(person, at(20, 8))
    closing = "UPDATE users SET status = 'closed', phone_index = NULL, phone_cipher = NULL WHERE id = :id"
    await db.execute(text(closing), {"id": person.user_id})
    newcomer = await people.register(phone=person.phone, verified=False, party=False)
    assert await service.outcomes(event(phone=person.phone, occurred_at=at(3, 8).isoformat())) == ["unknown-user"]
    assert (await read_points(newcomer))["total"] == 0


async def test_events_with_wrong_clock_are_refused(people: People, service: PointsService) -> None:
    person = await register_learner(people)
    now = datetime.now(SHANGHAI)
    earliest = datetime.combine(now.date() - timedelta(days=30), datetime.min.time(), SHANGHAI)
    times = {
        now + timedelta(minutes=4): "counted",
        now + timedelta(minutes=6): "in-the-future",
        now + timedelta(days=3650): "in-the-future",
        earliest: "counted",
        earliest - timedelta(microseconds=1): "too-old",
        now - timedelta(days=3650): "too-old",
    }
    sent = [event(person.user_id, occurred_at=at.isoformat()) for at in times]
    sent.append(event(person.user_id, occurred_at="0001-01-01T00:00:00+14:00"))
    sent.append(event(person.user_id, occurred_at="9999-12-31T23:59:59-12:00"))
    assert await service.outcomes(*sent) == [*times.values(), "too-old", "in-the-future"]
    assert await service.outcomes(sent[-1]) == ["in-the-future"]
    assert await service.outcomes(sent[-2]) == ["too-old"]


async def test_event_day_is_the_day_in_shanghai(people: People, service: PointsService) -> None:
    person = await register_learner(people)
    day = datetime.now(SHANGHAI).date() - timedelta(days=3)
    sent = {f"{day}T00:00:00+08:00": day, f"{day}T15:59:59Z": day, f"{day}T16:00:00Z": day + timedelta(days=1)}
    await service.outcomes(*(event(person.user_id, occurred_at=at) for at in sent))
    shown = {date.fromisoformat(row["day"]): row["events"] for row in (await read_points(person))["days"]}
    assert shown == {day: 2, day + timedelta(days=1): 1}
    assert (await read_points(person, until=str(day), days=1))["days"][0]["points"] == 10
    assert (await read_points(person, until="0001-01-05", days=92))["days"] == []


async def test_negative_event_corrects_points(people: People, service: PointsService) -> None:
    person = await register_learner(people)
    await service.outcomes(event(person.user_id, points=30), event(person.user_id, points=-45))
    assert (await read_points(person))["total"] == -15


_GOOD = event("00000000-0000-7000-8000-000000000000")


@pytest.mark.parametrize(
    "wrong",
    [
        _GOOD | {"points": 0},
        _GOOD | {"points": 1.5},
        _GOOD | {"points": 1.0},
        _GOOD | {"points": "5"},
        _GOOD | {"points": True},
        _GOOD | {"points": 100_001},
        _GOOD | {"points": 10**400},
        _GOOD | {"phone": "13800138000"},
        {name: value for name, value in _GOOD.items() if name != "user_id"},
        _GOOD | {"user_id": None, "phone": "12345"},
        _GOOD | {"event_id": ""},
        _GOOD | {"event_id": "a b"},
        _GOOD | {"event_id": "x" * 65},
        _GOOD | {"event_id": "a\x00b"},
        _GOOD | {"kind": "Article"},
        _GOOD | {"kind": ""},
        _GOOD | {"occurred_at": "2026-11-23T10:00:00"},
        _GOOD | {"occurred_at": 1_700_000_000},
        _GOOD | {"occurred_at": "yesterday"},
        _GOOD | {"note": "?"},
    ],
)
async def test_malformed_event_refuses_the_whole_batch(
    people: People, service: PointsService, wrong: dict[str, Any]
) -> None:
    person = await register_learner(people)
    answer = await service.post(event(person.user_id), wrong)
    assert answer.status_code == 422
    assert all(error["pointer"].startswith("/events/1") for error in answer.json()["errors"])
    assert (await read_points(person))["total"] == 0


async def test_errors_point_at_every_malformed_event(service: PointsService) -> None:
    answer = await service.post(
        _GOOD | {"kind": "Article", "points": "5"},
        _GOOD,
        _GOOD | {"phone": "13800138000"},
        _GOOD | {"points": 0},
        _GOOD | {"occurred_at": 1_700_000_000, "note": "?"},
    )
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
        ("/events/0/points", "int_type"),
        ("/events/0/kind", "string_pattern_mismatch"),
        ("/events/2", "whose"),
        ("/events/3", "points_zero"),
        ("/events/4/occurred_at", "datetime_type"),
        ("/events/4/note", "extra_forbidden"),
    ]


async def test_response_equals_the_declared_model_as_json(service: PointsService) -> None:
    answer = await service.post(event(_GOOD["user_id"], event_id='\\"/<~>'), event(_GOOD["user_id"]))
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == PointEventsOut.model_validate_json(answer.content).model_dump_json().encode()


async def test_invalid_json_numbers_are_refused(service: PointsService, api: httpx.AsyncClient) -> None:
    for points in ("NaN", "1e400", "-Infinity", "9" * 5000):
        body = (
            '{"events": [{"event_id": "e", "phone": "13800138000", "kind": "k", '
            f'"occurred_at": "2026-01-01T00:00:00Z", "points": {points}}}]}}'
        )
        headers = service.headers | {"Content-Type": "application/json"}
        answer = await api.post("/v1/point-events", content=body, headers=headers)
        assert answer.status_code in {400, 422}, points


async def test_batch_of_wrong_size_is_refused(service: PointsService) -> None:
    assert (await service.post()).status_code == 422
    unknown = "00000000-0000-7000-8000-000000000000"
    assert (await service.post(*(event(unknown) for _ in range(1001)))).status_code == 422
    assert set(await service.outcomes(*(event(unknown) for _ in range(1000)))) == {"unknown-user"}


async def test_callers_without_scope_are_refused(people: People, api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    person = await register_learner(people)
    sent = event(person.user_id)
    assert (await person.post("/v1/point-events", json={"events": [sent]})).status_code == 403
    assert (await api.post("/v1/point-events", json={"events": [sent]})).status_code == 401
    without = await sign_in_service(api, engine, scopes=())
    refused = await without.post(sent)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/insufficient-scope")


async def test_concurrent_copies_of_a_batch_count_once(people: People, service: PointsService) -> None:
    person = await register_learner(people)
    batch = [event(person.user_id, points=1) for _ in range(200)]

    async def shuffled() -> list[str]:
        return await service.outcomes(*random.sample(batch, len(batch)))

    answers = await asyncio.gather(*(shuffled() for _ in range(10)))
    counted = sum(outcomes.count("counted") for outcomes in answers)
    assert counted == 200
    assert {outcome for outcomes in answers for outcome in outcomes} == {"counted", "duplicate"}
    assert (await read_points(person))["total"] == 200


async def test_concurrent_batches_with_common_events_count_each_once(
    app: FastAPI, people: People, service: PointsService, engine: AsyncEngine
) -> None:
    """Batches wait for each other's keys in one order; with opposite orders two batches would deadlock."""
    person = await register_learner(people)
    scope = ServiceScope(service.source, frozenset(), Actor())

    async def record(events: list[dict[str, Any]]) -> list[str]:
        sent = PointEventsCreate.model_validate({"events": events})
        async with engine.begin() as db:
            return await record_point_events(db, CIPHER.get(app), scope, sent.events)

    for _ in range(20):
        events = [event(person.user_id, points=1) for _ in range(1000)]
        batches = [events[:900], events[:99:-1]]
        answers = await asyncio.gather(*(record(batch) for batch in batches))
        counted = [
            sent["event_id"]
            for batch, outcomes in zip(batches, answers, strict=True)
            for sent, outcome in zip(batch, outcomes, strict=True)
            if outcome == "counted"
        ]
        assert sorted(counted) == sorted(sent["event_id"] for sent in events)


async def test_phone_is_found_by_either_key_during_rotation(
    app: FastAPI, people: People, service: PointsService, engine: AsyncEngine
) -> None:
    rotating = Cipher(SETTINGS.get(app).model_copy(update={"next_index_key": SecretStr(make_key())}))
    scope = ServiceScope(service.source, frozenset(), Actor())
    settled, moved = await register_learner(people), await register_learner(people)
    events = [event(phone=settled.phone), event(phone=moved.phone), event(settled.user_id), event(phone=fresh_phone())]
    sent = PointEventsCreate.model_validate({"events": events}).events
    async with engine.connect() as db:
        index = rotating.reindex_value(rotating.index_phone(moved.phone))
        move = text("UPDATE users SET phone_index = :index WHERE id = :id")
        await db.execute(move, {"index": index, "id": moved.user_id})
        outcomes = await record_point_events(db, rotating, scope, sent)
        again = await record_point_events(db, rotating, scope, sent)
    assert outcomes == ["counted", "counted", "counted", "unknown-user"]
    assert again == ["duplicate", "duplicate", "duplicate", "unknown-user"]


async def test_batch_with_one_known_event_counts_the_others(people: People, service: PointsService) -> None:
    person = await register_learner(people)
    known = event(person.user_id, points=1)
    assert await service.outcomes(known) == ["counted"]
    others = [event(person.user_id, points=1), event("00000000-0000-7000-8000-000000000000")]
    outcomes = ["counted", "unknown-user", "duplicate"]
    assert await service.outcomes(*others, known) == outcomes
    assert (await read_points(person))["total"] == 2


async def test_repeated_batch_adds_no_ledger_rows(people: People, service: PointsService, db: AsyncConnection) -> None:
    """The repeated batch leaves no row and no dead row."""
    person = await register_learner(people)
    day = datetime.now(SHANGHAI) - timedelta(days=26)
    batch = [event(person.user_id, points=1, occurred_at=day.isoformat()) for _ in range(1000)]
    assert set(await service.outcomes(*batch)) == {"counted"}
    size = text(f"SELECT pg_relation_size('partitions.point_events_{day:%Y%m%d}')")
    before = await db.scalar(size)
    assert set(await service.outcomes(*batch)) == {"duplicate"}
    assert await db.scalar(size) == before


async def test_user_id_in_any_uuid_form_is_accepted(people: People, service: PointsService) -> None:
    person = await register_learner(people)
    plain = person.user_id.replace("-", "")
    written = [person.user_id.upper(), plain, f"urn:uuid:{person.user_id}", f"{{{person.user_id}}}"]
    assert await service.outcomes(*(event(each, points=1) for each in written)) == ["counted"] * 4
    assert await service.outcomes(event(written[0], points=1)) == ["counted"]
    assert (await read_points(person))["total"] == 5


async def test_concurrent_first_events_of_a_day_all_count(people: People, service: PointsService) -> None:
    """Each batch creates the day's partition if it is missing; the second batch finds it."""
    person = await register_learner(people)
    now = datetime.now(SHANGHAI)
    days = [now - timedelta(days=ago) for ago in range(12, 24)]
    batches = [
        [event(person.user_id, points=1, occurred_at=day.isoformat()) for day in random.sample(days, len(days))]
        for _ in range(8)
    ]
    answers = await asyncio.gather(*(service.outcomes(*batch) for batch in batches))
    assert {outcome for outcomes in answers for outcome in outcomes} == {"counted"}
    assert (await read_points(person))["total"] == 8 * len(days)


async def test_random_events_equal_a_naive_count(people: People, service: PointsService) -> None:
    chance = random.Random(8)
    persons = [await register_learner(people) for _ in range(4)]
    now = datetime.now(SHANGHAI)
    counted: dict[str, dict[str, Any]] = {}
    ids = [event()["event_id"] for _ in range(150)]
    for _ in range(40):
        batch = [
            event(
                chance.choice(persons).user_id,
                event_id=chance.choice(ids),
                points=chance.choice([-3, 1, 2, 8]),
                kind=chance.choice(["article", "video", "quiz"]),
                occurred_at=(now - timedelta(hours=chance.randrange(0, 24 * 34))).isoformat(),
            )
            for _ in range(chance.randrange(1, 12))
        ]
        before = set(counted)
        expected = []
        for sent in batch:
            day = datetime.fromisoformat(sent["occurred_at"]).astimezone(SHANGHAI).date()
            fits = day >= now.date() - timedelta(days=30)
            if fits and sent["event_id"] not in counted:
                counted[sent["event_id"]] = sent | {"day": day}
                expected.append("counted")
            else:
                expected.append("duplicate" if fits or sent["event_id"] in before else "too-old")
        assert await service.outcomes(*batch) == expected
    for person in persons:
        mine = [sent for sent in counted.values() if sent["user_id"] == person.user_id]
        by_day: dict[date, dict[str, int]] = defaultdict(dict)
        for sent in mine:
            by_day[sent["day"]][sent["kind"]] = by_day[sent["day"]].get(sent["kind"], 0) + sent["points"]
        shown = await read_points(person, days=40)
        assert {date.fromisoformat(row["day"]): row["kinds"] for row in shown["days"]} == by_day
        assert shown["total"] == sum(sent["points"] for sent in mine)


@pytest.mark.parametrize("statement", ["UPDATE {} SET points = 1", "DELETE FROM {}", "TRUNCATE {}"])
async def test_ledger_changes_are_refused_by_the_database(
    people: People, service: PointsService, db: AsyncConnection, statement: str
) -> None:
    person = await register_learner(people)
    await service.outcomes(event(person.user_id))
    today = datetime.now(SHANGHAI).strftime("%Y%m%d")
    for table in ("point_events", f"partitions.point_events_{today}"):
        with pytest.raises(IntegrityError):
            await db.execute(text(statement.format(table)))
    assert (await read_points(person))["total"] == 5


async def test_counted_batch_writes_one_audit_entry_and_one_event(
    people: People, service: PointsService, db: AsyncConnection
) -> None:
    person = await register_learner(people)
    sent = [event(person.user_id), event("00000000-0000-7000-8000-000000000000")]
    before = await db.scalar(_ENTRIES, {"source": service.source})
    answer = await service.post(*sent)
    assert answer.json()["counted"] == 1
    assert (await service.post(*sent)).json()["counted"] == 0
    assert await db.scalar(_ENTRIES, {"source": service.source}) == before + 1
    written = text(
        "SELECT a.client_id, a.address IS NOT NULL AS located, a.subject_type, a.after, e.type, e.subject_type AS of "
        "FROM audit_entries AS a JOIN outgoing_events AS e ON e.audit_entry_id = a.id WHERE a.request_id = :request_id"
    )
    entries = (await db.execute(written, {"request_id": answer.headers["x-request-id"]})).all()
    after = {"counted": 1, "sent": 2}
    assert entries == [(service.source, True, "point_events", after, "point_events.counted", "point_events")]


_ENTRIES = text("SELECT count(*) FROM audit_entries WHERE client_id = :source AND action = 'point_events.counted'")
