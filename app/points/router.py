"""Points over HTTP: services write the ledger, learners read their own points."""

from datetime import date, timedelta
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response

from app.authz.access import Service, ServiceScope, SignedIn
from app.authz.errors import ScopeMissing
from app.core.calendar import today
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.points import operations, queries
from app.points.schemas import MyPointsOut, Outcome, PointEventsCreate, PointEventsOut
from app.web.errors import problems
from app.web.schemas import QueryDay

router = APIRouter(prefix="/v1", route_class=TransactionalRoute)


@router.post(
    "/point-events",
    summary="Record points",
    tags=["points"],
    response_model=PointEventsOut,
    responses=problems(ScopeMissing),
)
async def record_point_events(
    scope: Annotated[ServiceScope, Service("point-events:write")],
    body: PointEventsCreate,
    db: WriteDb,
    cipher: CipherDep,
) -> Response:
    """A service records points, up to 1,000 events in a batch. The body may be compressed with gzip. Each event counts
    once per calling service and `event_id`. The answer has the result for each event.

    If the answer of a batch was lost, send the batch again: an event that is already counted has the result
    `duplicate`, for 31 days at least; after that it is `too-old`. Never use an id for another event. The ledger is
    append-only, so correct a wrong event with another event of negative points. An event of up to 30 days ago counts on
    its own day; an older event is refused. A phone means the user who had it on that day,
    not the user who has it now. An account that has been closed since is not found by its phone.
    """
    outcomes = await operations.record_point_events(db, cipher, scope, body.events)
    # This is a `PointEventsOut` as JSON. Creating a model for each outcome takes ten times as long (measured).
    answer = {
        "counted": outcomes.count(Outcome.COUNTED),
        "outcomes": [
            {"event_id": event["event_id"], "outcome": outcome}
            for event, outcome in zip(body.events, outcomes, strict=True)
        ],
    }
    return Response(orjson.dumps(answer), media_type="application/json")


@router.get("/me/points", summary="My points", tags=["me"])
async def read_my_points(
    user: SignedIn,
    db: ReadDb,
    until: Annotated[QueryDay | None, Query(description="The last day shown; today unless given.")] = None,
    days: Annotated[int, Query(ge=1, le=92, description="How many days are shown.")] = 30,
) -> MyPointsOut:
    """Read the caller's points: the total, the last seven days, and each day by kind. The call changes nothing."""
    now = today()
    last = min(until or now, now)
    first = max(last, date.min + timedelta(days=days)) - timedelta(days=days - 1)
    return await queries.get_points(db, user.user_id, now, first, last)
