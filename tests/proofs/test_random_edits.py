"""Sixteen workers edit one hierarchy at random: 1,000 edits, or 100,000 with XUEZU_PROOF=1, when two processes of the
service share the database and the workers."""

import asyncio
import os
import time
from collections import Counter

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.settings import Settings
from tests.acts import invite
from tests.people import People
from tests.proofs.editing import Editor, Part, run_part, run_part_in_process
from tests.proofs.invariants import assert_invariants, find_violations

PROOF = os.environ.get("XUEZU_PROOF") == "1"
EDITS = int(os.environ.get("XUEZU_RANDOM_EDITS", "100000" if PROOF else "1000"))
WORKERS = 16
AUDITED = """
SELECT DISTINCT request_id FROM audit_entries
WHERE request_id = ANY (CAST(:made AS text[])) AND action <> 'request.refused'
"""


@pytest.mark.usefixtures("day_long_tokens")
async def test_concurrent_random_edits_keep_the_invariants(
    app: FastAPI, settings: Settings, database_url: str, people: People, db: AsyncConnection
) -> None:
    known = await find_violations(db)
    persons = [await people.register() for _ in range(6)]
    orgs = [(person, await person.create_org()) for person in persons for _ in range(3)]
    tokens = {org["id"]: (await invite(person, org, max_uses=10_000))["token"] for person, org in orgs}

    async def build_part(number: int, processes: int) -> Part:
        editors = [await people.register(phone=person.phone, verified=False, party=False) for person in persons]
        return Part(
            database_url=database_url,
            data_dir=str(settings.data_dir),
            editors=[Editor(each.user_id, each.phone, each.token, each.refresh_token) for each in editors],
            orgs=list(tokens),
            tokens=tokens,
            seeds=list(range(number, WORKERS, processes)),
            edits=-(-EDITS // WORKERS),
        )

    began = time.monotonic()
    if PROOF:
        parts = [await build_part(number, 2) for number in range(2)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_part_in_process(each)) for each in parts]
        outcomes = [task.result() for task in tasks]
    else:
        outcomes = [await run_part(app, await build_part(0, 1))]
    answers = sum((outcome.answers for outcome in outcomes), Counter[int]())
    took = time.monotonic() - began
    print(f"\n{answers.total()} edits in {took:.0f} s, answered {dict(answers.most_common())}")  # noqa: T201 — a report for developers
    await assert_invariants(db, known=known)
    made = [edit for outcome in outcomes for edit in outcome.made]
    found = set(await db.scalars(text(AUDITED), {"made": [request_id for _, request_id in made]}))
    audited = {key for key, request_id in made if request_id in found}
    assert {key for key, _ in made} - audited == set()
    assert answers.total() >= EDITS
    assert len(made) > EDITS // 20  # enough edits were made
