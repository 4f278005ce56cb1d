"""Bodies of the points routes."""

from contextlib import suppress
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, NotRequired, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    ConfigDict,
    FailFast,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
    with_config,
)
from pydantic_core import PydanticCustomError, core_schema
from typing_extensions import TypedDict  # pydantic requires this one on Python 3.11

from app.core.i18n import gettext_noop
from app.core.phones import Phone
from app.web.schemas import Body, Out

MAX_POINTS = 100_000
MAX_BATCH = 1000


EventId = Annotated[
    str,
    StringConstraints(pattern=r"^[\x21-\x7e]{1,64}$"),
    Field(description="The source's own id of the event: 1 to 64 visible ASCII characters.", examples=["read-81f0c2"]),
]
Points = Annotated[
    int,
    Field(
        strict=True,
        ge=-MAX_POINTS,
        le=MAX_POINTS,
        description="Whole and not zero. An event is corrected by another one, with negative points.",
        examples=[5],
    ),
]
PointKind = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$"),
    Field(description="What the points are for, in the source's words.", examples=["article"]),
]


class PointEventCreate(Body):
    """One event of a service client. Each `event_id` of the client counts once: a later event with the same `event_id`
    is ignored."""

    event_id: EventId
    user_id: UUID | None = Field(default=None, description="Whose points: the user's id; or give `phone`.")
    phone: Phone | None = Field(default=None, description="Whose points: the user's phone at `occurred_at`.")
    points: Points
    kind: PointKind
    occurred_at: Annotated[
        AwareDatetime,
        Field(description="When it was earned, with zone; its day in Asia/Shanghai is the day that it counts on."),
    ]

    @model_validator(mode="after")
    def _check_user_and_points(self) -> Self:
        if (self.user_id is None) == (self.phone is None):
            raise PydanticCustomError("whose", gettext_noop("user_id 与 phone 须且只能提供一项"))
        if self.points == 0:
            raise PydanticCustomError("points_zero", gettext_noop("积分不能为 0"))
        return self


class _TimeText:
    """Accept only a text that begins as RFC 3339 times do. pydantic checks this without a call of Python code."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        text = core_schema.str_schema(strict=True, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}")
        return core_schema.chain_schema([text, handler(source)])


_UuidText = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]
"""A UUID in its usual form. It goes to the database as text, so no UUID object is created."""


@with_config(ConfigDict(extra="forbid"))
class PointEvent(TypedDict):
    """A validated event: the fields of a `PointEventCreate`, where fields with defaults may be missing."""

    event_id: EventId
    user_id: NotRequired[_UuidText | None]
    phone: NotRequired[Phone | None]
    points: Points
    kind: PointKind
    occurred_at: Annotated[AwareDatetime, _TimeText()]


_Batch = Annotated[list[PointEventCreate], Field(min_length=1, max_length=MAX_BATCH)]
_BATCH_ADAPTER: TypeAdapter[list[PointEventCreate]] = TypeAdapter(_Batch)


def _validate_batch(value: Any, validate_fast: ValidatorFunctionWrapHandler) -> list[PointEvent]:
    """Validate a batch as `PointEvent`s. If that fails, validate it as `PointEventCreate`s, whose errors are exact."""
    with suppress(ValidationError):
        events: list[PointEvent] = validate_fast(value)
        if all((event.get("user_id") is None) != (event.get("phone") is None) and event["points"] for event in events):
            return events
    return [
        PointEvent(
            event_id=event.event_id,
            user_id=str(event.user_id) if event.user_id else None,
            phone=event.phone,
            points=event.points,
            kind=event.kind,
            occurred_at=event.occurred_at,
        )
        for event in _BATCH_ADAPTER.validate_python(value)
    ]


class PointEventsCreate(Body):
    """A batch. One malformed event refuses the whole batch. Otherwise the answer has an outcome for each event."""

    events: Annotated[
        list[PointEvent],
        Field(min_length=1, max_length=MAX_BATCH),
        FailFast(),
        WrapValidator(_validate_batch, json_schema_input_type=_Batch),
    ]


class Outcome(StrEnum):
    """The outcome of one event."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    UNKNOWN_USER = "unknown-user"
    CLOSED_ACCOUNT = "closed-account"
    TOO_OLD = "too-old"
    IN_THE_FUTURE = "in-the-future"


class PointEventOut(Out):
    event_id: str
    outcome: Outcome = Field(
        description="`counted`: in the ledger, once and for ever. `duplicate`: this id was counted in the last 31 days "
        "(or earlier in this batch), whatever it says now. `unknown-user`: no user has this id, or had this "
        "phone on that day. "
        "`closed-account`: the account is closed. `too-old`: of a day more than 30 days ago. `in-the-future`: more "
        "than five minutes ahead of the service's clock. Only a counted event uses up its id: the others can be sent "
        "again, corrected or later."
    )


class PointEventsOut(Out):
    """The outcome of each event, in the order of the batch."""

    counted: int = Field(description="How many were counted by this call.")
    outcomes: list[PointEventOut]


class DayPointsOut(Out):
    day: date
    points: int
    events: int
    kinds: dict[str, int] = Field(
        description="The day's points by kind; empty for an old day whose events are archived.",
        examples=[{"article": 6, "video": 4}],
    )


class MyPointsOut(Out):
    """The caller's own points."""

    total: int = Field(description="All points ever.")
    last_7_days: int = Field(description="Of today and the six days before it (Asia/Shanghai).")
    days: list[DayPointsOut] = Field(description="The requested days that have events, newest first.")
