"""What signing in and one's own account refuse."""

from datetime import timedelta

from app.web.errors import BadRequest, Conflict, Forbidden, Problem, Unavailable


class PhoneCodesUnavailable(Unavailable):
    slug = "phone-codes-unavailable"
    zh, en = "短信服务未配置", "No SMS gateway is configured"
    advice_zh = "请联系平台管理员配置短信服务(XUEZU_SMS_PROVIDER)。"
    advice_en = "Have the platform's administrator configure one (XUEZU_SMS_PROVIDER)."


class AlipayUnavailable(Unavailable):
    slug = "alipay-unavailable"
    zh, en = "支付宝认证暂不可用", "Verification by Alipay is not available"
    advice_zh, advice_en = "请改用身份证认证。", "Verify by ID card instead."


class AlreadyVerified(Conflict):
    slug = "already-verified"
    zh, en = "您已完成实名认证", "Your real name is verified already"
    advice_zh, advice_en = "无需再次认证。", "Nothing more is needed."


class VerificationOpen(Conflict):
    slug = "verification-open"
    zh, en = "您有一项认证正在审核", "A verification of yours is being reviewed"
    advice_zh = "请等待审核结果;也可改用支付宝认证,立即完成。"
    advice_en = "Wait for its result, or verify by Alipay, which is immediate."


class IdNumberTaken(Conflict):
    slug = "id-number-taken"
    zh, en = "该身份证件已用于另一账号的实名认证", "This ID card has verified another account"
    advice_zh = "一张身份证只能认证一个账号;请登录原账号,或先注销原账号。"
    advice_en = "One ID card verifies one account: sign in to that one, or close it first."


class BadSignature(BadRequest):
    slug = "bad-signature"
    zh, en = "通知签名无效", "The notification's signature is not valid"
    advice_zh, advice_en = "请使用提供方的密钥签名。", "Sign it with the provider's key."


class NotOnThisClient(Forbidden):
    slug = "app-only"
    zh, en = "只能在手机客户端上操作", "Only possible in the app on the phone"
    advice_zh = "请用手机客户端扫码并确认。"
    advice_en = "Scan and approve in the app, signed in by phone code."


class AlreadyScanned(Conflict):
    slug = "already-scanned"
    zh, en = "该二维码已被扫描", "The code has been scanned already"
    advice_zh, advice_en = "请在电脑上刷新二维码后重新扫描。", "Renew the code on the computer and scan the new one."


class ScanDecided(Conflict):
    slug = "scan-decided"
    zh, en = "该登录请求已处理", "The sign-in has been decided already"
    advice_zh, advice_en = "如需登录,请在电脑上刷新二维码。", "To sign in, renew the code on the computer."


class CodeExpired(Problem):
    status, slug = 410, "code-expired"
    zh, en = "二维码已过期", "The code has expired"
    advice_zh, advice_en = "请在电脑上刷新二维码后重新扫描。", "Renew the code on the computer and scan the new one."


class WrongNumber(Conflict):
    slug = "wrong-number"
    zh, en = "数字与电脑上显示的不一致", "Not the number that the computer shows"
    advice_zh = "请核对您面前的电脑上显示的两位数字;三次不一致,登录请求即被拒绝。"
    advice_en = "Read the two digits off the computer before you; the third wrong number refuses the sign-in."


class FreshSignInNeeded(Problem):
    """RFC 9470 again: the sign-in of this session is too long ago for what is asked."""

    status, slug = 401, "fresh-sign-in-needed"
    zh, en = "请重新登录后再操作", "Sign in anew first"
    advice_zh, advice_en = "请重新登录,并在 15 分钟内完成此操作。", "Sign in again and do this within 15 minutes."

    def __init__(self, max_age: timedelta) -> None:
        challenge = f'Bearer error="insufficient_user_authentication", max_age="{int(max_age.total_seconds())}"'
        super().__init__(headers={"WWW-Authenticate": challenge})


class SecurityKeyRefused(Forbidden):
    slug = "security-key-refused"
    zh, en = "安全密钥验证未通过", "The security key was not accepted"
    advice_zh, advice_en = "请重新获取挑战并使用已登记的密钥。", "Get a new challenge and use a registered key."


class SecurityKeyTaken(Conflict):
    slug = "security-key-taken"
    zh, en = "该安全密钥已登记", "This security key is registered already"
    advice_zh, advice_en = "请使用另一把密钥。", "Use another key."


class NoSecurityKey(Conflict):
    slug = "no-security-key"
    zh, en = "您还没有登记安全密钥", "You have no security key yet"
    advice_zh, advice_en = "请先登记:POST /v1/me/security-keys。", "Register one first: POST /v1/me/security-keys."


class EnrolmentNeeded(Forbidden):
    slug = "enrolment-needed"
    zh, en = "平台管理员的首把密钥需要登记码", "An operator's first key needs the enrolment code"
    advice_zh, advice_en = (
        "请使用 `xuezu operators` 给出的一次性登记码。",
        "Use the code that `xuezu operators` printed.",
    )


class NotYourReview(Conflict):
    slug = "not-your-review"
    zh, en = "该认证不在您的审核中", "You are not reviewing this verification"
    advice_zh = "请先开始审核:PUT …/review;他人开始审核后由他人决定。"
    advice_en = "Begin the review first (PUT …/review); whoever began it last decides."


class OwnVerification(Forbidden):
    slug = "own-verification"
    zh, en = "不能审核自己的认证", "Nobody reviews their own verification"
    advice_zh, advice_en = "请由另一位平台管理员审核。", "Another operator has to."


class IsOperator(Conflict):
    slug = "is-operator"
    zh, en = "该账号是平台管理员", "The account is a platform operator's"
    advice_zh, advice_en = "请使用 `xuezu operators` 处理。", "Use `xuezu operators` for it."


class CodeRefused(Forbidden):
    slug = "code-refused"
    zh, en = "验证码错误、已使用或已过期", "The code is wrong, used or expired"
    advice_zh, advice_en = "请核对短信中的验证码,或重新获取。", "Check the code in the message, or ask for a new one."


class PhoneTaken(Conflict):
    slug = "phone-taken"
    zh, en = "该手机号已注册其他账号", "The phone has an account of its own"
    advice_zh = "请先注销该手机号上的账号,或更换为其他手机号。"
    advice_en = "Close the account on that phone first, or take another phone."


class StillAdmin(Conflict):
    slug = "still-admin"
    zh, en = "您仍是学习组织的管理员", "You are still an admin"
    advice_zh = "请先移交主管理员、辞去管理员,再注销账号(S4、S5)。"
    advice_en = "Hand over as main admin and resign as admin of every organisation first (S4, S5)."
