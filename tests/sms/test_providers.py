"""The SMS providers, against a server that plays their documented protocols."""

import hashlib
import logging
import re
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings
from structlog.testing import capture_logs

from app.commands.providers import _check
from app.core.production import require_production_settings
from app.core.settings import CannotStart, ConfigurationError, Environment, Provider, Settings
from app.provider_calls import client as http_client
from app.provider_calls import tencent
from app.provider_calls.settings import list_variables
from app.sms import gateway as sms_gateway
from app.sms.gateway import Cause, Fallback, NotSent, SmsGateway, deliver_message
from app.sms.loading import load_sms_provider, open_gateway
from app.sms.messages import TEXTS, Message, Template
from app.sms.providers import aliyun
from app.sms.providers.settings import ALL, AliyunSettings, HookSettings, TencentSettings
from tests.sms.played_providers import KEY_ID, SECRET, Played, play_providers

PHONE, CODE = "13900001234", "402913"
SIGN_IN = Message(Template.SIGN_IN, {"code": CODE})
TEMPLATES = ",".join(f"{template}=T-{template}" for template in Template)


@pytest.fixture(scope="module")
def server() -> Iterator[Played]:
    with play_providers() as played:
        yield played


@pytest.fixture
def played(server: Played) -> Iterator[Played]:
    yield server
    server.answer, server.delay = None, 0
    server.messages.clear()


Make = Callable[[str], SmsGateway]
NAMES = ("aliyun", "tencent", "hook")


@pytest.fixture
async def make(played: Played, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> AsyncIterator[Make]:
    """Return a function that makes the gateway of the named providers, as the environment configures them. It makes a
    new one at each call."""
    values = {
        "XUEZU_SMS_ALIYUN_KEY_ID": KEY_ID,
        "XUEZU_SMS_ALIYUN_KEY_SECRET": SECRET,
        "XUEZU_SMS_ALIYUN_SIGN_NAME": "学组",
        "XUEZU_SMS_ALIYUN_TEMPLATES": TEMPLATES,
        "XUEZU_SMS_ALIYUN_URL": f"{played.url}/aliyun",
        "XUEZU_SMS_TENCENT_SECRET_ID": KEY_ID,
        "XUEZU_SMS_TENCENT_SECRET_KEY": SECRET,
        "XUEZU_SMS_TENCENT_APP_ID": "1400006666",
        "XUEZU_SMS_TENCENT_SIGN_NAME": "学组",
        "XUEZU_SMS_TENCENT_TEMPLATES": TEMPLATES,
        "XUEZU_SMS_TENCENT_URL": f"{played.url}/tencent",
        "XUEZU_SMS_HOOK_URL": f"{played.url}/hook",
        "XUEZU_SMS_HOOK_SECRET": SECRET,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    made: list[SmsGateway] = []

    def make_gateway(names: str) -> SmsGateway:
        factory = load_sms_provider(settings.model_copy(update={"sms_provider": names}))
        assert factory is not None
        unused: Any = None
        made.append(factory(settings, unused, unused))
        return made[-1]

    yield make_gateway
    for gateway in made:
        await gateway.close()


async def send(gateway: SmsGateway, phone: str = PHONE, message: Message = SIGN_IN) -> tuple[str, str | None] | None:
    """Send a message. Return the cause and the provider's code if it is refused, else None."""
    try:
        await gateway.send(phone, message)
    except NotSent as refused:
        return refused.cause, refused.code
    return None


async def test_message_arrives_as_the_protocol_says(make: Make, played: Played) -> None:
    notice = Message(Template.KEY_ADDED)
    for gateway in map(make, NAMES):
        assert await send(gateway) is None
        assert await send(gateway, "+85291234567", notice) is None
    aliyun_code, aliyun_notice, tencent_code, tencent_notice, hook_code, hook_notice = played.messages
    common = {"SignName": "学组", "TemplateCode": "T-sign-in", "TemplateParam": f'{{"code":"{CODE}"}}'}
    assert aliyun_code == common | {"PhoneNumbers": PHONE, "OutId": "sign-in"}
    assert (aliyun_notice["PhoneNumbers"], aliyun_notice["TemplateParam"]) == ("85291234567", "{}")
    assert tencent_code == {
        "PhoneNumberSet": [f"+86{PHONE}"],
        "SmsSdkAppId": "1400006666",
        "SignName": "学组",
        "TemplateId": "T-sign-in",
        "TemplateParamSet": [CODE],
    }
    assert (tencent_notice["PhoneNumberSet"], tencent_notice["TemplateParamSet"]) == (["+85291234567"], [])
    assert hook_code == {
        "phone": f"+86{PHONE}",
        "template": "sign-in",
        "parameters": {"code": CODE},
        "text": SIGN_IN.text,
    }
    assert (hook_notice["phone"], hook_notice["parameters"]) == ("+85291234567", {})
    assert SIGN_IN.text == f"【学组】{CODE} 是您的登录验证码，5 分钟内有效。请勿告诉他人。"
    assert TEXTS.keys() == set(Template)


def _status(code: str) -> Any:
    return {"Response": {"SendStatusSet": [{"Code": code, "Message": "no"}], "RequestId": "1"}}


def _error(code: str) -> Any:
    return {"Response": {"Error": {"Code": code, "Message": "no"}, "RequestId": "1"}}


@pytest.mark.parametrize(
    ("provider", "status", "body", "cause", "code"),
    [
        ("aliyun", 200, {"Code": "isv.BUSINESS_LIMIT_CONTROL"}, Cause.LIMITED, "isv.BUSINESS_LIMIT_CONTROL"),
        ("aliyun", 200, {"Code": "isv.BLACK_KEY_CONTROL_LIMIT"}, Cause.BLOCKED, "isv.BLACK_KEY_CONTROL_LIMIT"),
        ("aliyun", 200, {"Code": "isv.MOBILE_NUMBER_ILLEGAL"}, Cause.INVALID_PHONE, "isv.MOBILE_NUMBER_ILLEGAL"),
        ("aliyun", 200, {"Code": "isv.AMOUNT_NOT_ENOUGH"}, Cause.MISCONFIGURED, "isv.AMOUNT_NOT_ENOUGH"),
        ("aliyun", 400, {"Code": "Throttling.User"}, Cause.OVERLOADED, "Throttling.User"),
        ("aliyun", 503, {"Code": "ServiceUnavailable"}, Cause.UNREACHABLE, "ServiceUnavailable"),
        ("aliyun", 200, {"Code": "isv.NEW"}, Cause.UNKNOWN, "isv.NEW"),
        ("aliyun", 200, b"<html>", Cause.UNKNOWN, "none"),
        ("aliyun", 502, b"<html>", Cause.UNREACHABLE, "502"),
        ("aliyun", 200, b"x" * 100_000, Cause.UNREACHABLE, "answer-too-large"),
        ("tencent", 200, _status("LimitExceeded.PhoneNumberDailyLimit"), Cause.LIMITED, None),
        ("tencent", 200, _status("FailedOperation.PhoneNumberInBlacklist"), Cause.BLOCKED, None),
        ("tencent", 200, _status("InvalidParameterValue.IncorrectPhoneNumber"), Cause.INVALID_PHONE, None),
        ("tencent", 200, _status("FailedOperation.InsufficientBalanceInSmsPackage"), Cause.MISCONFIGURED, None),
        ("tencent", 200, _error("AuthFailure.SecretIdNotFound"), Cause.MISCONFIGURED, None),
        ("tencent", 200, _error("RequestLimitExceeded"), Cause.OVERLOADED, None),
        ("tencent", 200, _error("InternalError.OtherError"), Cause.UNREACHABLE, None),
        ("tencent", 200, {"Response": {"SendStatusSet": []}}, Cause.UNKNOWN, "none"),
        ("tencent", 200, [1], Cause.UNKNOWN, "none"),
        ("hook", 422, {"cause": "blocked"}, Cause.BLOCKED, "422"),
        ("hook", 429, {}, Cause.OVERLOADED, "429"),
        ("hook", 404, b"no such page", Cause.MISCONFIGURED, "404"),
        ("hook", 500, {"cause": "what"}, Cause.UNREACHABLE, "500"),
        ("hook", 302, b"", Cause.MISCONFIGURED, "302"),
    ],
)
async def test_refusal_of_a_provider_has_its_cause(
    make: Make,
    played: Played,
    provider: str,
    status: int,
    body: Any,
    cause: Cause,
    code: str | None,
) -> None:
    played.answer = (status, body)
    found = await send(make(provider))
    assert found is not None
    assert found[0] == cause
    assert code is None or found[1] == code


async def test_provider_that_is_silent_or_absent_is_unreachable(
    make: Make, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "TIMEOUT_SECONDS", 0.1)
    played.delay = 0.5
    assert await send(make("aliyun")) == (Cause.UNREACHABLE, "ReadTimeout")
    monkeypatch.setenv("XUEZU_SMS_HOOK_URL", "http://127.0.0.1:9/")
    assert await send(make("hook")) == (Cause.UNREACHABLE, "ConnectError")


async def test_wrong_secret_is_a_fault_of_the_configuration(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XUEZU_SMS_ALIYUN_KEY_SECRET", "XUEZU_SMS_TENCENT_SECRET_KEY", "XUEZU_SMS_HOOK_SECRET"):
        monkeypatch.setenv(name, "another-secret-of-32-characters")
    found = [await send(make(name)) for name in NAMES]
    assert found == [
        (Cause.MISCONFIGURED, "SignatureDoesNotMatch"),
        (Cause.MISCONFIGURED, "AuthFailure.SignatureFailure"),
        (Cause.MISCONFIGURED, "401"),
    ]


def test_signatures_are_those_of_the_documentation() -> None:
    query = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": hashlib.sha256().hexdigest(),
    }
    signed = aliyun.sign("YourAccessKeyId", "YourAccessKeySecret", query, headers)
    assert signed.endswith("Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")
    # Its documentation shows the hash of the request alone: the key of its example is masked.
    body = rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    request = tencent.build_canonical_request("DescribeInstances", "cvm.tencentcloudapi.com", body)
    documented = "7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84"
    assert hashlib.sha256(request.encode()).hexdigest() == documented


class Scripted:
    """A gateway that refuses for a cause, or accepts."""

    def __init__(self, cause: Cause | None) -> None:
        self.cause, self.calls = cause, 0

    async def close(self) -> None:
        pass

    async def send(self, phone: str, message: Message) -> None:
        self.calls += 1
        if self.cause is not None:
            raise NotSent(self.cause, "X")


@pytest.mark.parametrize("cause", Cause)
async def test_next_provider_is_tried_unless_the_phone_is_the_cause(cause: Cause) -> None:
    first, second = Scripted(cause), Scripted(None)
    found = await send(Fallback({"first": first, "second": second}))
    of_the_phone = cause in {Cause.LIMITED, Cause.BLOCKED, Cause.INVALID_PHONE}
    assert (found, second.calls) == (((cause, "X"), 0) if of_the_phone else (None, 1))


async def test_next_provider_is_tried_when_the_first_is_silent(
    make: Make, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sms_gateway, "TIMEOUT_SECONDS", 0.3)
    played.delay = 0.2
    second = Scripted(None)
    assert await send(Fallback({"aliyun": make("aliyun"), "second": second})) is None
    assert second.calls == 1


async def test_failed_delivery_is_logged_without_phone_and_code(
    make: Make, played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    played.answer = (200, {"Code": "isv.DAY_LIMIT_CONTROL", "Message": PHONE})
    with capture_logs() as logs, caplog.at_level(logging.DEBUG):
        await deliver_message(make("aliyun,tencent"), PHONE, SIGN_IN)
    assert [(entry["event"], entry.get("provider"), entry["cause"]) for entry in logs] == [
        ("sms_provider_failed", "aliyun", Cause.OVERLOADED),
        ("sms_not_sent", None, Cause.UNKNOWN),
    ]
    assert PHONE not in str(logs)
    assert CODE not in str(logs)
    own = [record for record in caplog.records if not record.name.startswith("uvicorn")]  # without the played server
    assert PHONE not in str([record.getMessage() for record in own])


@pytest.mark.parametrize(
    ("kind", "name"), [(AliyunSettings, "aliyun"), (TencentSettings, "tencent"), (HookSettings, "hook")]
)
def test_provider_without_a_setting_is_refused(
    kind: type[BaseSettings],
    name: str,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in list_variables(kind):
        with monkeypatch.context() as changed, pytest.raises(ConfigurationError, match=variable) as refused:
            changed.setenv(variable, "")
            make(name)
        assert SECRET not in str(refused.value)
    incomplete = TEMPLATES.replace("key-added=T-key-added", "key-added=")
    monkeypatch.setenv(f"XUEZU_SMS_{name.upper()}_TEMPLATES", incomplete)
    if name != "hook":
        with pytest.raises(ConfigurationError, match="key-added"):
            make(name)


async def test_setting_of_a_provider_is_read_from_a_file(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XUEZU_SMS_ALIYUN_KEY_SECRET")
    monkeypatch.setenv("XUEZU_SMS_ALIYUN_KEY_SECRET_FILE", str(tmp_path / "secret"))
    with pytest.raises(ConfigurationError, match="XUEZU_SMS_ALIYUN_KEY_SECRET_FILE names a file that cannot be read"):
        make("aliyun")
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    assert await send(make("aliyun")) is None


def test_unknown_provider_is_refused(make: Make) -> None:
    with pytest.raises(CannotStart, match=r"needs the entry point `nothing` of the group `xuezu\.sms_providers`"):
        make("nothing")


async def test_plugin_of_the_documentation_works(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (Path(__file__).parents[2] / "docs/PROVIDERS.md").read_text().partition("## Real names")[0]
    (entry_point,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    ((name, value),) = tomllib.loads(entry_point)["project"]["entry-points"]["xuezu.sms_providers"].items()
    installed = tmp_path / "xuezu_example-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: xuezu-example\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[xuezu.sms_providers]\n{name} = {value}\n")
    (tmp_path / "xuezu_example.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    gateway = make(f"{name},aliyun")
    assert await send(gateway) is None
    assert capsys.readouterr().out == "sign-in\n"
    assert await send(gateway, "+85291234567") == (Cause.INVALID_PHONE, "abroad")


def test_templates_of_the_documentation_are_the_ones_that_are_sent() -> None:
    guide = (Path(__file__).parents[2] / "docs/PROVIDERS.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+。) \|$", guide, re.MULTILINE))
    assert listed == {template: text.replace("{", "${") for template, text in TEXTS.items()}
    variables = {variable for kind in ALL for variable in list_variables(kind)}
    variables.add("XUEZU_SMS_RECEIPT_SECRET")
    assert variables == {name.removesuffix("_FILE") for name in re.findall(r"XUEZU_SMS_[A-Z]+_[A-Z_]+", guide)}


def test_production_names_all_that_is_not_fit_for_it(settings: Settings) -> None:
    fit = {
        "env": Environment.PRODUCTION,
        "sms_provider": "aliyun",
        "identity_provider": Provider.NONE,
        "public_url": "https://xuezu.example",
        "database_url": SecretStr("postgresql://xuezu:a-long-one@db/xuezu"),
    }
    require_production_settings(settings.model_copy(update=fit))
    unfit = {
        "sms_provider": "simulated",
        "identity_provider": Provider.SIMULATED,
        "public_url": "http://xuezu.example",
        "database_url": SecretStr("postgresql://xuezu:postgres@db/xuezu"),
    }
    for name, value in {**unfit, "sms_provider": "none"}.items():
        with pytest.raises(ConfigurationError):
            require_production_settings(settings.model_copy(update=fit | {name: value}))
    with pytest.raises(ConfigurationError) as refused:
        require_production_settings(settings.model_copy(update=fit | unfit))
    assert str(refused.value).count(";") == 3
    require_production_settings(settings.model_copy(update=unfit))


@pytest.mark.usefixtures("make")
async def test_gateway_of_a_process_is_closed_with_it(settings: Settings) -> None:
    unused: Any = None
    async with open_gateway(settings.model_copy(update={"sms_provider": "aliyun,hook"}), unused, unused) as gateway:
        assert gateway is not None
        assert await send(gateway) is None
    with pytest.raises(RuntimeError, match="client has been closed"):
        await gateway.send(PHONE, SIGN_IN)


@pytest.mark.usefixtures("make")
def test_check_of_a_provider_tells_whether_the_code_arrived(
    settings: Settings, played: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("typer.prompt", lambda *_, **__: played.messages[-1]["TemplateParamSet"][0])
    assert _check(settings, "tencent", PHONE, wait=True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "")
    assert not _check(settings, "tencent", PHONE, wait=True)
    assert _check(settings, "tencent", PHONE, wait=False)
    played.answer = (200, _error("AuthFailure.SecretIdNotFound"))
    assert not _check(settings, "tencent", PHONE, wait=False)
    shown = capsys.readouterr()
    assert "tencent: works." in shown.out
    assert shown.err.splitlines() == [
        "tencent: the code has not arrived. Look at its console for the receipt.",
        "tencent: not sent: misconfigured (its code is AuthFailure.SecretIdNotFound).",
    ]
