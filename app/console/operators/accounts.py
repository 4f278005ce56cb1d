"""Accounts, found by phone: suspension, its end, and the recovery from lost security keys."""

from typing import Annotated, get_args
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Path, Request, Response
from pydantic import ValidationError

from app.auth.accounts.accounts import get_phone
from app.auth.operators.account_search import get_account, search_account_by_phone
from app.auth.operators.operators import recover_keys, restore_user, suspend_user
from app.auth.operators.schemas import AccountOut, AccountSearchCreate, KeyRecoveryReason, SuspensionReason
from app.auth.phone_codes.sms import send_notice
from app.authz.access import AsOperator
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_operator_frame
from app.console.frame.forms import FormContext, PageForm, validate_fields
from app.console.frame.notices import Undo
from app.console.frame.phone_fields import read_phone
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import render_page
from app.core.cipher import CipherDep
from app.core.i18n import gettext, gettext_noop
from app.database.db import ReadableDb, ReadDb, WriteDb
from app.sms.messages import Template

router = APIRouter(prefix="/console/operators/accounts", route_class=ConsoleRoute, include_in_schema=False)

UserId = Annotated[UUID, Path()]
AT = "/console/operators/accounts"
_REASONS = {
    "abuse": gettext_noop("违规使用"),
    "security": gettext_noop("账号安全"),
    "by-order": gettext_noop("有关部门要求"),
    "lost": gettext_noop("丢失"),
    "stolen": gettext_noop("被盗"),
    "broken": gettext_noop("损坏"),
    "other": gettext_noop("其他"),
}


class AccountsPage(FormContext, FrameContext, template="operators/accounts.html"):
    """The search, and the account that was found. `is_missing`: no account has the phone."""

    account: AccountOut | None = None
    is_missing: bool = False


@router.get("")
async def show_search(request: Request, scope: AsOperator) -> Response:
    """Show the form to find an account by its phone."""
    return render_page(request, AccountsPage(frame=build_operator_frame(scope)))


@router.post("")
async def search(request: Request, db: WriteDb, cipher: CipherDep, scope: AsOperator, form: PageForm) -> Response:
    """Find the account that has the phone, and go to its page. The audit log gets an entry, also if there is none."""
    frame = build_operator_frame(scope)
    body = validate_fields(AccountSearchCreate, read_phone(form))
    if isinstance(body, ValidationError):
        return render_page(request, AccountsPage(frame=frame, form=form, outcome=body))
    found = await search_account_by_phone(db, cipher, scope, body.phone)
    if found is None:
        return render_page(request, AccountsPage(frame=frame, form=form, is_missing=True))
    return Response(status_code=303, headers={"Location": f"{AT}/{found.user_id}"})


@router.get("/{user_id}")
async def show_account(request: Request, db: ReadDb, cipher: CipherDep, scope: AsOperator, user_id: UserId) -> Response:
    """Show an account with masked data, and what an operator can do with it."""
    account = await get_account(db, cipher, user_id)
    return render_page(request, AccountsPage(frame=build_operator_frame(scope), account=account))


@add_confirmation_routes(router, "/{user_id}/suspension")
async def confirm_suspension(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: AsOperator, user_id: UserId
) -> Confirmation:
    """Suspend the account. The message offers to end the suspension again."""
    account = await get_account(db, cipher, user_id)
    return Confirmation(
        title=gettext("停用账号 {phone}", phone=account.phone),
        explanation=gettext(
            "立即生效：所有设备退出登录，不能再登录，通讯录中的登记变为未激活。积分和登记都保留，随时可以恢复使用。"
        ),
        button=gettext("停用"),
        operation=lambda db, reason: suspend_user(db, cipher, scope, user_id, reason=reason),
        message=gettext("已停用账号 {phone}", phone=account.phone),
        reason=gettext("停用的原因"),
        reasons=_translate_reasons(SuspensionReason),
        undo=Undo(f"{AT}/{user_id}/restoration", gettext("恢复使用")),
    )


@add_confirmation_routes(router, "/{user_id}/restoration")
async def confirm_restoration(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: AsOperator, user_id: UserId
) -> Confirmation:
    """End the suspension."""
    account = await get_account(db, cipher, user_id)
    return Confirmation(
        title=gettext("恢复使用账号 {phone}", phone=account.phone),
        explanation=gettext("立即生效：本人可以重新登录，通讯录中的登记恢复为已激活。"),
        button=gettext("恢复使用"),
        operation=lambda db, _: restore_user(db, cipher, scope, user_id),
        message=gettext("账号 {phone} 已恢复使用", phone=account.phone),
        danger=False,
    )


@add_confirmation_routes(router, "/{user_id}/key-recovery")
async def confirm_key_recovery(
    request: Request, db: ReadableDb, cipher: CipherDep, scope: AsOperator, user_id: UserId, tasks: BackgroundTasks
) -> Confirmation:
    """Remove all security keys of the account. The operator types the masked phone to confirm; an SMS tells the
    user."""
    account = await get_account(db, cipher, user_id)

    async def recover(db: WriteDb, reason: str) -> None:
        await recover_keys(db, scope, user_id, reason=reason)
        send_notice(request, tasks, await get_phone(db, cipher, user_id), Template.KEYS_RECOVERED)

    return Confirmation(
        title=gettext("移除 {phone} 的全部安全密钥", phone=account.phone),
        explanation=gettext(
            "用于本人丢失密钥时。请先另行核实申请人就是本人。全部密钥失效，所有设备退出登录，并以短信告知本人；"
            "本人用手机重新登录后再登记密钥。"
        ),
        button=gettext("移除密钥"),
        operation=recover,
        message=gettext("已移除全部安全密钥，并以短信告知本人"),
        name=account.phone,
        reason=gettext("移除的原因"),
        reasons=_translate_reasons(KeyRecoveryReason),
    )


def _translate_reasons(codes: object) -> dict[str, str]:
    """Return the codes of a Literal with their texts in the reader's language."""
    return {code: gettext(_REASONS[code]) for code in get_args(codes)}
