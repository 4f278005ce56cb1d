"""The first page of the platform operators: how much work waits."""

from fastapi import APIRouter, Request, Response

from app.admins.change_queries import count_orphan_recoveries
from app.auth.verification.reviews import ReviewCounts, count_reviews
from app.authz.access import AsOperator
from app.console.frame.context import FrameContext, build_operator_frame
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.database.db import ReadDb

router = APIRouter(prefix="/console/operators", route_class=ConsoleRoute, include_in_schema=False)


class OperatorHomePage(FrameContext, template="operators/home.html"):
    reviews: ReviewCounts
    recoveries: int


@router.get("")
async def show_operator_home(request: Request, db: ReadDb, scope: AsOperator) -> Response:
    """Show the numbers of ID cards and recoveries that wait for an operator."""
    page = OperatorHomePage(
        frame=build_operator_frame(scope),
        reviews=await count_reviews(db),
        recoveries=await count_orphan_recoveries(db),
    )
    return render_page(request, page)
