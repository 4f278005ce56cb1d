"""Who administers what. The main admin is `orgs.main_admin_id`, which must name a row here."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Table


class OrgAdmin(Table):
    """A learning administrator (学习管理员) of an org, the main one included. Past ones are in the audit."""

    __tablename__ = "org_admins"
    __table_args__ = (Index(None, "user_id"),)

    org_id: Mapped[UUID] = mapped_column(ForeignKey("orgs.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
