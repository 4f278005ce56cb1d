"""Crossing transactions in every order: a handful of random orders here, all of them under XUEZU_PROOF=1."""

import os

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.people import People, staying_signed_in
from tests.proofs.scenes import NAMES, Scenes
from tests.proofs.stepping import interleave

PROOF = os.environ.get("XUEZU_PROOF") == "1"
SAMPLE = None if PROOF else 3


@pytest.mark.parametrize("name", NAMES)
async def test_in_every_order(people: People, engine: AsyncEngine, db: AsyncConnection, name: str) -> None:
    persons = [await people.register() for _ in range(2)]
    scenes = Scenes(persons[0], persons[1], db)
    async with staying_signed_in(persons):
        played = await interleave(engine, getattr(scenes, name), sample=SAMPLE)
    assert played >= (SAMPLE or 10)
