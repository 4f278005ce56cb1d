"""The query parameters of the list of members, for the API and the pages: the filters, the order and the page."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from app.core.i18n import gettext
from app.core.text import SearchText
from app.database.paging import CursorQuery, LimitQuery
from app.members.member_list import MemberFilter, MemberListing, read_member_paging
from app.members.schemas import MemberOrder
from app.web.errors import Invalid


async def _read_filter(
    q: Annotated[
        SearchText | None,
        Query(
            description="Characters of the name, its pinyin or initials, or the last four digits of the phone; for a "
            "whole phone `POST …/phone-searches`."
        ),
    ] = None,
    unit_id: Annotated[UUID | None, Query(description="A member of this unit.")] = None,
    units_below: Annotated[bool, Query(description="With `unit_id`: or in a unit under it.")] = False,
    at_org: Annotated[bool | None, Query(description="Placed at the org itself, or not.")] = None,
    active: Annotated[bool | None, Query(description="Active, or 未激活.")] = None,
    party: Annotated[bool | None, Query(description="In the party, or not.")] = None,
    verified: Annotated[bool | None, Query(description="Real name verified, or not.")] = None,
) -> MemberFilter:
    return MemberFilter(q, unit_id, units_below, at_org, active, party, verified)


async def _read_listing(
    wanted: Annotated[MemberFilter, Depends(_read_filter)],
    order: Annotated[
        MemberOrder,
        Query(
            description="`added`: the order in which they were added. `name`: by pinyin. `position`, with `unit_id`: "
            "those with a place in that unit first (书记), then the others by name."
        ),
    ] = MemberOrder.ADDED,
    limit: LimitQuery = 50,
    cursor: CursorQuery = None,
) -> MemberListing:
    if order is MemberOrder.POSITION and wanted.unit_id is None:
        detail = gettext("按支部内顺序排列时须指定支部")
        raise Invalid(errors=[{"pointer": "query/order", "code": "order", "detail": detail}])
    return MemberListing(wanted, order, read_member_paging(order, limit, cursor))


MemberListingQuery = Annotated[MemberListing, Depends(_read_listing)]
