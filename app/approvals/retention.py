"""The clean-up of overdue requests."""

from datetime import timedelta

from app.approvals.kinds import KINDS
from app.approvals.requests import expire_overdue
from app.database.retention import CleanUp

CLEAN_UPS = (
    CleanUp(
        name="overdue-requests",
        deletes="what identifies a person in an overdue request; the request stays, as expired",
        tables=tuple(kind.table.__tablename__ for kind in KINDS if kind.lifetime is not None),
        after=timedelta(0),
        since="the request's time is over",
        run=expire_overdue,
    ),
)
