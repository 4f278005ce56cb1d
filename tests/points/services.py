"""A points service for the tests: a service client that is signed in."""

import itertools
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor
from app.auth.clients import create_client

_serial = itertools.count()


class PointsService:
    """Posts point events as the service `source`."""

    def __init__(self, api: httpx.AsyncClient, source: str, token: str) -> None:
        self.api = api
        self.source = source
        self.headers = {"Authorization": f"Bearer {token}"}

    async def post(self, *events: dict[str, Any]) -> httpx.Response:
        return await self.api.post("/v1/point-events", json={"events": list(events)}, headers=self.headers)

    async def outcomes(self, *events: dict[str, Any]) -> list[str]:
        """Post a batch that the API accepts, and return the outcome of each event."""
        answer = await self.post(*events)
        assert answer.status_code == 200, answer.text
        results = answer.json()["outcomes"]
        assert [result["event_id"] for result in results] == [event["event_id"] for event in events]
        assert answer.json()["counted"] == [result["outcome"] for result in results].count("counted")
        return [result["outcome"] for result in results]


async def sign_in_service(
    api: httpx.AsyncClient, engine: AsyncEngine, scopes: tuple[str, ...] = ("point-events:write",)
) -> PointsService:
    async with engine.begin() as db:
        client = await create_client(db, Actor(), name="points", scopes=scopes)
    assert client.secret is not None
    granted = await api.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=(client.client_id, client.secret)
    )
    assert granted.status_code == 200, granted.text
    return PointsService(api, client.client_id, granted.json()["access_token"])


def event(user_id: str | None = None, /, **fields: Any) -> dict[str, Any]:
    """Return a point event of this moment with a new id."""
    created: dict[str, Any] = {
        "event_id": f"event-{next(_serial)}",
        "points": 5,
        "kind": "article",
        "occurred_at": datetime.now(UTC).isoformat(),
    }
    if user_id is not None:
        created["user_id"] = user_id
    return created | fields
