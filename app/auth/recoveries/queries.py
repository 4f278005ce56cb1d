"""The reads of account recoveries."""

from uuid import UUID

from sqlalchemy import BindParameter, Uuid, and_, bindparam, func, or_, select

from app.auth.recoveries.schemas import AccountRecoveryOut
from app.auth.recovery_states import RecoveryKind
from app.authz.access import UserScope
from app.database.db import Readable
from app.database.paging import Page, PagedStatement, Paging
from app.database.rows import one_or_404
from app.schema.auth import AccountRecovery

_USER: BindParameter[UUID] = bindparam("user_id", type_=Uuid())
VISIBLE = and_(
    AccountRecovery.kind != RecoveryKind.SIGN_IN,
    or_(
        AccountRecovery.requester_id == _USER,
        # Before the name is proved, a recovery is about no account.
        and_(AccountRecovery.account_id == _USER, AccountRecovery.effective_at.is_not(None)),
    ),
)
"""Whether the user `user_id` sees a recovery: as the requester, or as the owner of the account."""

_OF_USER = select(
    AccountRecovery.id,
    AccountRecovery.kind,
    AccountRecovery.state,
    AccountRecovery.reason,
    func.coalesce(AccountRecovery.requester_id == _USER, False).label("requested_by_me"),
    AccountRecovery.created_at,
    AccountRecovery.expires_at,
    AccountRecovery.effective_at,
    AccountRecovery.ended_at,
).where(VISIBLE)
_ONE = _OF_USER.where(AccountRecovery.id == bindparam("recovery_id"))
_ALL = PagedStatement(_OF_USER, AccountRecovery.id.desc(), row=AccountRecoveryOut)


async def list_recoveries(db: Readable, scope: UserScope, paging: Paging) -> Page[AccountRecoveryOut]:
    """Return a page of the recoveries that the user requested or that are about their account, the newest first."""
    return Page[AccountRecoveryOut].from_slice(await _ALL.fetch(db, paging, user_id=scope.user_id))


async def get_recovery(db: Readable, scope: UserScope, recovery_id: UUID) -> AccountRecoveryOut:
    """Return one of these recoveries. Raises NotFound."""
    return await one_or_404(db, _ONE, AccountRecoveryOut, {"user_id": scope.user_id, "recovery_id": recovery_id})
