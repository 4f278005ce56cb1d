"""The query parameters of reports, for the API and the pages: the day, the period, and the order of the list."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from app.core.calendar import today
from app.core.i18n import gettext
from app.database.paging import Paging, paged_by
from app.reports.overviews import Listing
from app.reports.periods import RETENTION_DAYS, Period, Span
from app.reports.schemas import Sort
from app.web.errors import Invalid
from app.web.schemas import QueryDay


async def _read_day(
    day: Annotated[
        QueryDay | None,
        Query(description=f"The last day of the period: today unless given, at most {RETENTION_DAYS} days ago."),
    ] = None,
) -> date:
    now = today()
    if day is None:
        return now
    if not now - timedelta(days=RETENTION_DAYS - 1) <= day <= now:
        raise Invalid(
            errors=[
                {
                    "pointer": "query/day",
                    "code": "day",
                    "detail": gettext("须为最近 {days} 天之内或今天", days=RETENTION_DAYS),
                }
            ]
        )
    return day


DayQuery = Annotated[date, Depends(_read_day)]


async def _read_span(
    day: DayQuery,
    period: Annotated[Period, Query(description="The length of the period, which ends with `day`.")] = Period.WEEK,
) -> Span:
    return Span(day, period.days)


async def _read_listing(
    paging: Annotated[Paging, paged_by(str, bool, float | str, UUID)],
    sort: Annotated[
        Sort, Query(description="The column that sorts the subordinates. Withheld figures come last.")
    ] = Sort.NAME,
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "asc",
) -> Listing:
    return Listing(sort, order == "desc", paging)


SpanQuery = Annotated[Span, Depends(_read_span)]
ListingQuery = Annotated[Listing, Depends(_read_listing)]
