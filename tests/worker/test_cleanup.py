"""What has outlived its use is forgotten; what has not is kept."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.worker.cleanup import forget_expired
from tests.people import People, fresh_org_name


async def test_a_stored_answer_is_forgotten_after_a_day_and_not_before(people: People, engine: AsyncEngine) -> None:
    founder = await people.register()

    async def create(key: str) -> str:
        body = {"name": fresh_org_name(), "region_code": "320102"}
        created = await founder.post("/v1/orgs", json=body, headers={"Idempotency-Key": key})
        assert created.status_code in (201, 422), created.text
        return str(created.json().get("type", "created"))

    assert await create("kept") == "created"
    assert await forget_expired(engine)
    assert await create("kept") == "/problems/idempotency-key-reused"
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'"))
    assert await forget_expired(engine)
    assert await create("kept") == "created"
