"""Errors of sign-in and of the user's own account."""

from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel, Field

from app.core.i18n import gettext_noop
from app.web.errors import BadRequest, Conflict, Forbidden, Invalid, Problem, Unauthorized, Unavailable


class PhoneCodesUnavailable(Unavailable):
    slug = "phone-codes-unavailable"
    title = gettext_noop("短信服务未配置")
    advice = gettext_noop("请联系平台管理员配置短信服务（XUEZU_SMS_PROVIDER）。")


class MethodNotOffered(Conflict):
    slug = "verification-method-not-offered"
    title = gettext_noop("不提供这种认证方式")
    advice = gettext_noop("请选择其他认证方式，如身份证认证。")


class PictureRefused(Invalid):
    slug = "picture-refused"
    title = gettext_noop("身份证照片无法使用")
    advice = gettext_noop("请提供 JPEG 或 PNG 照片：每张不超过 2 MB、2000 万像素，宽度不少于 300 像素，文件完整。")


class IdentityUnavailable(Unavailable):
    slug = "identity-provider-unavailable"
    title = gettext_noop("认证服务暂时没有响应")
    advice = gettext_noop("请稍后重试，或改用身份证认证。")


class AlreadyVerified(Conflict):
    slug = "already-verified"
    title = gettext_noop("您已完成实名认证")
    advice = gettext_noop("无需再次认证。")


class VerificationOpen(Conflict):
    slug = "verification-open"
    title = gettext_noop("您有一项认证正在审核")
    advice = gettext_noop("请等待审核结果；也可改用其他认证方式，立即完成。")


class IdNumberTaken(Conflict):
    slug = "id-number-taken"
    title = gettext_noop("该身份证件已用于另一账号的实名认证")
    advice = gettext_noop("一张身份证只能认证一个账号；请登录原账号，或先注销原账号。")


class RecoveryOpen(Conflict):
    slug = "recovery-open"
    title = gettext_noop("您有一项找回申请尚未结束")
    advice = gettext_noop("请等待结果；也可先停止该申请，再重新提出。")


class RecoveryEnded(Conflict):
    slug = "recovery-ended"
    title = gettext_noop("该找回申请已经结束")
    advice = gettext_noop("如账号已换到他人的手机号，请在 7 天内用原手机号联系平台管理员恢复。")


class BadSignature(BadRequest):
    slug = "bad-signature"
    title = gettext_noop("通知签名无效")
    advice = gettext_noop("请使用提供方的密钥签名。")


class NotOnThisClient(Forbidden):
    slug = "app-only"
    title = gettext_noop("只能在手机客户端上操作")
    advice = gettext_noop("请用手机客户端扫码并确认。")


class AppSignInNeeded(Forbidden):
    slug = "app-sign-in-needed"
    title = gettext_noop("请在手机客户端上更换手机号")
    advice = gettext_noop("请在手机客户端重新登录后更换；如有安全密钥，也可在本机先验证安全密钥。")


class AlreadyScanned(Conflict):
    slug = "already-scanned"
    title = gettext_noop("该二维码已被扫描")
    advice = gettext_noop("请在电脑上刷新二维码后重新扫描。")


class ScanDecided(Conflict):
    slug = "scan-decided"
    title = gettext_noop("该登录请求已处理")
    advice = gettext_noop("如需登录，请在电脑上刷新二维码。")


class CodeExpired(Problem):
    status, slug = 410, "code-expired"
    title = gettext_noop("二维码已过期")
    advice = gettext_noop("请在电脑上刷新二维码后重新扫描。")


class WrongNumber(Conflict):
    slug = "wrong-number"
    title = gettext_noop("与电脑上显示的不一致")
    advice = gettext_noop("请核对您面前的电脑上显示的数字或字母；三次不一致，登录请求即被拒绝。")


class FreshSignInNeeded(Problem):
    """The sign-in of this session is too old for this call (RFC 9470)."""

    status, slug = 401, "fresh-sign-in-needed"
    title = gettext_noop("请重新登录后再操作")
    advice = gettext_noop("请重新登录，并在 10 分钟内完成此操作。")

    def __init__(self, max_age: timedelta) -> None:
        challenge = f'Bearer error="insufficient_user_authentication", max_age="{int(max_age.total_seconds())}"'
        super().__init__(headers={"WWW-Authenticate": challenge})


class SecurityKeyRefused(Forbidden):
    slug = "security-key-refused"
    title = gettext_noop("安全密钥验证未通过")
    advice = gettext_noop("请重新获取挑战并使用已登记的密钥。")


class SecurityKeyTaken(Conflict):
    slug = "security-key-taken"
    title = gettext_noop("该安全密钥已登记")
    advice = gettext_noop("请使用另一把密钥。")


class NoSecurityKey(Conflict):
    slug = "no-security-key"
    title = gettext_noop("您还没有登记安全密钥")
    advice = gettext_noop("请先登记：POST /v1/me/security-keys。")


class EnrolmentNeeded(Forbidden):
    slug = "enrolment-needed"
    title = gettext_noop("平台管理员的首把密钥需要登记码")
    advice = gettext_noop("请使用 `xuezu operators` 给出的一次性登记码，一天内有效；过期请重新生成。")


class NotYourReview(Conflict):
    slug = "not-your-review"
    title = gettext_noop("该认证不在您的审核中")
    advice = gettext_noop("请先开始审核：PUT …/review；他人开始审核后由他人决定。")


class OwnVerification(Forbidden):
    slug = "own-verification"
    title = gettext_noop("不能审核自己的认证")
    advice = gettext_noop("请由另一位平台管理员审核。")


class IsOperator(Conflict):
    slug = "is-operator"
    title = gettext_noop("该账号是平台管理员")
    advice = gettext_noop("请使用 `xuezu operators` 处理。")


class BuiltInClient(Conflict):
    slug = "built-in-client"
    title = gettext_noop("手机客户端和管理后台不能停用")
    advice = gettext_noop("停用后所有人都无法登录。如需让某人退出登录，请停用其账号。")


class UnknownClient(Unauthorized):
    """401: a call names the address of a person and authenticates a client that is unknown, revoked or has another
    secret."""

    slug = "unknown-client"
    title = gettext_noop("程序的编号或密钥不正确")
    advice = gettext_noop("请核对手机应用后台的编号和密钥。")

    def __init__(self) -> None:
        super().__init__()
        self.headers["WWW-Authenticate"] = 'Basic realm="xuezu", charset="UTF-8"'


class UnusableScopes(Problem):
    status, slug = 422, "unusable-scopes"
    title = gettext_noop("该程序不能登记这些权限范围")
    advice = gettext_noop(
        "服务只能登记服务的权限范围；扫码登录的程序至少登记一项用户的权限范围；手机应用的后台不登记权限范围。"
    )


class CodeRefused(Forbidden):
    slug = "code-refused"
    title = gettext_noop("验证码错误、已使用或已过期")
    advice = gettext_noop("请核对短信中的验证码，或重新获取。")


class OldPhoneCodeRefused(Forbidden):
    slug = "old-phone-code-refused"
    title = gettext_noop("原手机号收到的验证码错误、已使用或已过期")
    advice = gettext_noop("请核对原手机号收到的短信，或重新获取。")


class PhoneTaken(Conflict):
    slug = "phone-taken"
    title = gettext_noop("该手机号码已注册其他账号")
    advice = gettext_noop("请先注销该手机号码上的账号，或改用其他手机号码。")


class AdministeredOrg(BaseModel):
    """An org that the user administers."""

    id: UUID
    name: str
    is_main_admin: bool


class AdministeredOrgs(BaseModel):
    """The additional member of the problem: the orgs that the user must hand over or leave first."""

    orgs: list[AdministeredOrg] = Field(
        description="The orgs of the party that the user administers.",
        examples=[
            [
                {
                    "id": "01900000-0000-7000-8000-000000000000",
                    "name": "中共示范街道中心社区委员会",
                    "is_main_admin": True,
                }
            ]
        ],
    )


class PartyOrgsAdministered(Conflict):
    """The user administers orgs of the party (S17)."""

    slug, extension = "party-orgs-administered", AdministeredOrgs
    title = gettext_noop("您还管理着党组织的学习组织")
    advice = gettext_noop("党组织的学习管理员须为党员：请先移交主管理员，或退出管理员，再修改党员身份。")


class StillAdmin(Conflict):
    slug = "still-admin"
    title = gettext_noop("您仍是学习组织的管理员")
    advice = gettext_noop("请先移交主管理员、辞去管理员，再注销账号。")
