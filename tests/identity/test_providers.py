"""The identity providers, against a server that plays their documented protocols, and the service's use of them."""

import logging
import re
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.testing import capture_logs

from app.commands import providers as command
from app.commands.configuration import read_plain_settings
from app.core.cipher import CIPHER
from app.core.settings import CannotStart, ConfigurationError, Settings
from app.identity.loading import load_identity_providers, open_identity_providers
from app.identity.provider import (
    IDENTITY,
    Attempt,
    BadNotification,
    Cause,
    IdentityFailed,
    IdentityProvider,
    Notification,
    Outcome,
    Result,
)
from app.identity.providers.alipay_keys import get_serial
from app.identity.providers.settings import ALL, AlipaySettings, TencentFaceSettings
from app.provider_calls import client as http_client
from app.provider_calls.settings import list_variables
from app.worker.retention import CLEAN_UPS, run_clean_up
from tests.identity import played_providers as playing
from tests.identity.played_providers import Played, find_serial, play_providers, read_page, sign_notification
from tests.people import People, Person, name_person

NAME, NUMBER = "王小明", "11010519491231002X"
ATTEMPT = Attempt(UUID(int=7), NAME, NUMBER, "https://xuezu.example/verified?code=abc")
GUIDE = Path(__file__).parents[2] / "docs/PROVIDERS.md"
Json = dict[str, Any]


def pem(key: Any) -> str:
    kind = serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode())


def bare(key: Any, kind: serialization.PrivateFormat) -> str:
    text = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()
    return "".join(line for line in text.splitlines() if "---" not in line)


PUBLIC_PEM = (
    playing.ALIPAY_KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
PUBLIC = "".join(line for line in PUBLIC_PEM.splitlines() if "---" not in line)
CERTIFICATES = {
    "XUEZU_IDENTITY_ALIPAY_APP_CERT": playing.APP_CERT,
    "XUEZU_IDENTITY_ALIPAY_ALIPAY_CERT": playing.ALIPAY_CERT,
    "XUEZU_IDENTITY_ALIPAY_ROOT_CERT": playing.ROOT_CERT,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Played]:
    with play_providers() as played:
        yield played


@pytest.fixture
def played(server: Played, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    values = {
        "XUEZU_IDENTITY_ALIPAY_APP_ID": playing.APP_ID,
        "XUEZU_IDENTITY_ALIPAY_PRIVATE_KEY": bare(playing.APP_KEY, serialization.PrivateFormat.PKCS8),
        "XUEZU_IDENTITY_ALIPAY_PUBLIC_KEY": PUBLIC,
        "XUEZU_IDENTITY_ALIPAY_URL": f"{server.url}/gateway.do",
        "XUEZU_IDENTITY_TENCENT_SECRET_ID": playing.KEY_ID,
        "XUEZU_IDENTITY_TENCENT_SECRET_KEY": playing.SECRET,
        "XUEZU_IDENTITY_TENCENT_RULE_ID": playing.RULE,
        "XUEZU_IDENTITY_TENCENT_URL": f"{server.url}/tencent",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    yield server
    server.answer, server.delay, server.result, server.cert_sn = None, 0, {}, None
    server.signing_key = playing.ALIPAY_KEY
    server.calls.clear()


@pytest.fixture
def certificates(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XUEZU_IDENTITY_ALIPAY_PUBLIC_KEY")
    for name, value in CERTIFICATES.items():
        monkeypatch.setenv(name, value)
    played.cert_sn = find_serial(playing.ALIPAY_CERT)


Make = Callable[[str], IdentityProvider]


@pytest.fixture
async def make(played: Played, app: FastAPI, settings: Settings) -> AsyncIterator[Make]:
    """Return a function that makes the named provider as the environment configures it."""
    made: list[IdentityProvider] = []

    def make_provider(name: str) -> IdentityProvider:
        found = load_identity_providers(settings.model_copy(update={"identity_provider": name}))
        made.append(found[name](settings, CIPHER.get(app)))
        return made[-1]

    yield make_provider
    for provider in made:
        await provider.close()


async def fail(call: Any) -> tuple[Cause, str | None]:
    with pytest.raises(IdentityFailed) as failed:
        await call
    assert NAME not in str(failed.value)
    return failed.value.cause, failed.value.code


# The protocols


@pytest.mark.parametrize("mode", ["keys", "certificates"])
async def test_alipay_begins_and_answers_as_its_protocol_says(
    make: Make, played: Played, mode: str, request: pytest.FixtureRequest
) -> None:
    if mode == "certificates":
        request.getfixturevalue("certificates")
    alipay = make("alipay")
    started = await alipay.begin(ATTEMPT)
    assert started.token == f"certify-{ATTEMPT.id.hex}"
    ((method, sent),) = played.calls
    person = {"identity_type": "CERT_INFO", "cert_type": "IDENTITY_CARD", "cert_name": NAME, "cert_no": NUMBER}
    assert method == "alipay.user.certify.open.initialize"
    assert sent["notify_url"].endswith("/v1/verifications/alipay/notifications")
    assert (sent["outer_order_no"], sent["biz_code"]) == (ATTEMPT.id.hex, "FACE")
    assert (sent["identity_param"], sent["merchant_config"]) == (person, {"return_url": ATTEMPT.return_url})
    page = read_page(played, started.url)
    assert (page["method"], page["return_url"]) == ("alipay.user.certify.open.certify", ATTEMPT.return_url)
    assert page["biz_content"] == f'{{"certify_id":"{started.token}"}}'
    assert ("app_cert_sn" in page) is (mode == "certificates")
    for answer, expected in (
        ({"passed": "F"}, Result(Outcome.PENDING)),
        ({"passed": "F", "fail_reason": "Z1147"}, Result(Outcome.FAILED)),
        ({"passed": "T", "identity_info": "{}"}, Result(Outcome.PASSED)),
        (
            {"passed": "T", "identity_info": f'{{"cert_name":"{NAME}","cert_no":"{NUMBER}"}}'},
            Result(Outcome.PASSED, NAME, NUMBER),
        ),
    ):
        played.result = answer
        assert await alipay.fetch_result(started.token) == expected
    assert played.calls[-1][1]["certify_id"] == started.token


async def test_tencent_begins_and_answers_as_its_protocol_says(make: Make, played: Played) -> None:
    tencent = make("tencent")
    started = await tencent.begin(ATTEMPT)
    assert started == (ATTEMPT.id.hex, f"https://open.faceid.qq.com/v1/web?biztoken={ATTEMPT.id.hex}")
    assert played.calls[-1][1] == {
        "RuleId": playing.RULE,
        "IdCard": NUMBER,
        "Name": NAME,
        "RedirectUrl": ATTEMPT.return_url,
        "Extra": ATTEMPT.id.hex,
    }
    assert await tencent.fetch_result(started.token) == Result(Outcome.PENDING)
    played.result = {"ErrCode": 2016, "ErrMsg": "no", "Name": NAME, "IdCard": NUMBER}
    assert await tencent.fetch_result(started.token) == Result(Outcome.FAILED)
    played.result = {"ErrCode": 0, "Name": NAME, "IdCard": NUMBER}
    assert await tencent.fetch_result(started.token) == Result(Outcome.PASSED, NAME, NUMBER)
    assert played.calls[-1][1] == {"BizToken": started.token, "RuleId": playing.RULE, "InfoType": "1"}
    with pytest.raises(BadNotification):
        tencent.read_notification({}, b"BizToken=1")


async def test_answer_that_alipay_has_not_signed_counts_for_nothing(
    make: Make, played: Played, request: pytest.FixtureRequest
) -> None:
    alipay, query = make("alipay"), "alipay_user_certify_open_query_response"
    passed = {"code": "10000", "msg": "Success", "passed": "T"}
    played.signing_key, played.result = playing.OTHER_KEY, {"passed": "T"}
    assert await fail(alipay.fetch_result("x")) == (Cause.UNTRUSTED, "wrong-signature")
    played.answer = (200, {query: passed})
    assert await fail(alipay.fetch_result("x")) == (Cause.UNTRUSTED, "unsigned")
    played.answer = (200, {query: passed, "sign": "AAAA"})
    assert await fail(alipay.fetch_result("x")) == (Cause.UNTRUSTED, "wrong-signature")
    # The answer of another method, which Alipay has signed, under the name of this one.
    other = '{"code":"10000"}'
    signed = playing.sign_as_alipay(other)
    two = f'{{"{query}":{other},"sign":"{signed}","{query}":{{"code":"10000","passed":"T"}}}}'
    played.answer = (200, two.encode())
    assert await alipay.fetch_result("x") == Result(Outcome.PENDING), "only the signed characters are read"
    request.getfixturevalue("certificates")
    in_certificate_mode = make("alipay")
    played.answer, played.signing_key, played.cert_sn = None, playing.ALIPAY_KEY, "another"
    assert await fail(in_certificate_mode.fetch_result("x")) == (Cause.MISCONFIGURED, "alipay-cert-changed")


@pytest.mark.parametrize(
    ("provider", "status", "body", "cause", "code"),
    [
        ("alipay", 200, {"error_response": {"code": "40002", "sub_code": "isv.invalid-app-id"}}, "misconfigured", None),
        ("alipay", 200, {"error_response": {"code": "20000", "sub_code": "isp.unknown-error"}}, "unreachable", None),
        ("alipay", 200, {"error_response": {"code": "40005"}}, "overloaded", "40005"),
        ("alipay", 200, b"<html>", "unreachable", "no-json"),
        ("alipay", 200, [1], "unreachable", "no-json"),
        ("alipay", 502, b"<html>", "unreachable", "502"),
        ("alipay", 200, b"x" * 100_000, "unreachable", "answer-too-large"),
        ("alipay", 302, b"", "unreachable", "no-json"),
        ("tencent", 200, {"Response": {"Error": {"Code": "AuthFailure.SecretIdNotFound"}}}, "misconfigured", None),
        ("tencent", 200, {"Response": {"Error": {"Code": "RequestLimitExceeded"}}}, "overloaded", None),
        ("tencent", 200, {"Response": {"Error": {"Code": "InternalError.X"}}}, "unreachable", None),
        ("tencent", 200, {"Response": {"Error": {"Code": "FailedOperation.X"}}}, "unknown", "FailedOperation.X"),
        ("tencent", 200, b"<html>", "unreachable", "no-response"),
        ("tencent", 503, b"<html>", "unreachable", "503"),
    ],
)
async def test_failure_of_a_provider_has_its_cause(
    make: Make, played: Played, provider: str, status: int, body: Any, cause: str, code: str | None
) -> None:
    played.answer = (status, body)
    for call in (make(provider).begin(ATTEMPT), make(provider).fetch_result("x")):
        found = await fail(call)
        assert found[0] == cause
        assert code is None or found[1] == code


async def test_provider_that_is_silent_or_absent_is_unreachable(
    make: Make, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "TIMEOUT_SECONDS", 0.1)
    played.delay = 0.5
    for name in ("alipay", "tencent"):
        assert await fail(make(name).begin(ATTEMPT)) == (Cause.UNREACHABLE, "ReadTimeout")
    monkeypatch.setenv("XUEZU_IDENTITY_TENCENT_URL", "http://127.0.0.1:9/")
    assert await fail(make("tencent").fetch_result("x")) == (Cause.UNREACHABLE, "ConnectError")


async def test_wrong_key_is_a_fault_of_the_configuration(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XUEZU_IDENTITY_ALIPAY_PRIVATE_KEY", pem(playing.OTHER_KEY))
    monkeypatch.setenv("XUEZU_IDENTITY_TENCENT_SECRET_KEY", "another")
    assert await fail(make("alipay").begin(ATTEMPT)) == (Cause.MISCONFIGURED, "isv.invalid-signature")
    assert await fail(make("tencent").begin(ATTEMPT)) == (Cause.MISCONFIGURED, "AuthFailure.SignatureFailure")


@pytest.mark.parametrize("with_type", [False, True])
def test_notification_is_read_only_if_alipay_has_signed_it(make: Make, with_type: bool) -> None:
    alipay = make("alipay")
    fields = {"msg_method": "alipay.user.certify.open.notify.completed", "biz_content": '{"certify_id":"c1"}'}
    signed = sign_notification(fields, with_type=with_type)

    def read(form: Mapping[str, str]) -> Notification:
        return alipay.read_notification({}, urlencode(form).encode())

    assert read(signed) == ("c1", True)
    assert read(sign_notification({"certify_id": "c2"}, with_type=with_type)).token == "c2"
    unsigned = {name: value for name, value in signed.items() if name != "sign"}
    for form in (
        unsigned,
        signed | {"biz_content": '{"certify_id":"c2"}'},
        signed | {"extra": "1"},
        signed | {"sign_type": "RSA"},
        signed | {"sign": "no base64"},
        sign_notification(fields, key=playing.OTHER_KEY, with_type=with_type),
        sign_notification(fields | {"app_id": "2021"}, with_type=with_type),
        sign_notification({"biz_content": "[]"}, with_type=with_type),
        {},
    ):
        with pytest.raises(BadNotification):
            read(form)
    for body in (b"\xff\xfe", urlencode(signed).encode() + b"&charset=gbk", b"a" * 10):
        with pytest.raises(BadNotification):
            alipay.read_notification({}, body)


# Keys and settings


def test_keys_are_read_in_the_forms_that_alipay_gives(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "XUEZU_IDENTITY_ALIPAY_PRIVATE_KEY"
    for form in (pem(playing.APP_KEY), bare(playing.APP_KEY, serialization.PrivateFormat.TraditionalOpenSSL)):
        monkeypatch.setenv(name, form)
        make("alipay")
    monkeypatch.setenv("XUEZU_IDENTITY_ALIPAY_PUBLIC_KEY", PUBLIC_PEM)
    make("alipay")
    for form in ("no key", PUBLIC, pem(playing.APP_KEY)[:200]):
        monkeypatch.setenv(name, form)
        with pytest.raises(ConfigurationError, match=f"{name} is no private RSA key") as refused:
            make("alipay")
        assert form not in str(refused.value)


def test_serial_of_a_certificate_is_that_of_the_documentation() -> None:
    """The roots that Alipay publishes have these issuers and serial numbers, and their numbers are in its examples."""
    known = {
        ("Ant Financial Certification Authority R1", "Certification Authority", "Ant Financial"): (
            0x1FCFA18D6A480D11,
            "687b59193f3f462dd5336e5abf83c5d8",
        ),
        ("iTrusChina Class 2 Root CA - G3", "China Trust Network", "iTrusChina"): (
            0x10C764E9D560384212D9C08FD10E373FDD0FB396,
            "02941eef3187dddf3d3b83462e1dfcf6",
        ),
    }
    for (common, unit, organization), (serial, expected) in known.items():
        parts = (
            (NameOID.COUNTRY_NAME, "CN"),
            (NameOID.ORGANIZATION_NAME, organization),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            (NameOID.COMMON_NAME, common),
        )
        issuer = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
        builder = x509.CertificateBuilder().subject_name(issuer).issuer_name(issuer).serial_number(serial)
        builder = builder.public_key(playing.ROOT_KEY.public_key())
        builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        builder = builder.not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
        assert get_serial(builder.sign(playing.ROOT_KEY, hashes.SHA256())) == expected


@pytest.mark.usefixtures("certificates")
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("APP_CERT", playing.make_certificate(playing.OTHER_KEY, "app"), "is not the certificate of"),
        ("APP_CERT", playing.make_certificate(playing.APP_KEY, "app", days=-1), "download a new one"),
        (
            "ALIPAY_CERT",
            playing.make_certificate(playing.ALIPAY_KEY, "alipay", signer=playing.OTHER_KEY),
            "was not issued by a root",
        ),
        ("ALIPAY_CERT", "no certificate", "contains no certificate of RSA in PEM"),
        ("ROOT_CERT", "", "for the certificate mode"),
        ("PUBLIC_KEY", PUBLIC, "for the certificate mode"),
    ],
)
def test_certificates_that_do_not_fit_are_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"XUEZU_IDENTITY_ALIPAY_{name}", value)
    with pytest.raises(ConfigurationError, match=says):
        make("alipay")


@pytest.mark.parametrize(("kind", "name"), [(AlipaySettings, "alipay"), (TencentFaceSettings, "tencent")])
def test_provider_without_a_setting_is_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch, kind: type[AlipaySettings | TencentFaceSettings], name: str
) -> None:
    for variable, field in zip(list_variables(kind), kind.model_fields.values(), strict=True):
        if field.is_required():
            with monkeypatch.context() as changed, pytest.raises(ConfigurationError, match=variable):
                changed.delenv(variable)
                make(name)


async def test_two_providers_of_one_method_and_an_old_setting_are_refused(
    settings: Settings, app: FastAPI, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = settings.model_copy(update={"identity_provider": "simulated,alipay"})
    with pytest.raises(CannotStart, match="offers the method `alipay`, which another provider has"):
        async with open_identity_providers(both, CIPHER.get(app)):
            pass
    monkeypatch.setenv("XUEZU_ALIPAY_PROVIDER", "none")
    with pytest.raises(ConfigurationError, match="XUEZU_ALIPAY_PROVIDER is now XUEZU_IDENTITY_PROVIDER"):
        read_plain_settings()


async def test_plugin_of_the_documentation_works(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    guide = GUIDE.read_text().partition("## A plug-in for identity")[2]
    (entry_point,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    ((name, value),) = tomllib.loads(entry_point)["project"]["entry-points"]["xuezu.identity_providers"].items()
    installed = tmp_path / "xuezu_identity_example-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: xuezu-identity-example\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[xuezu.identity_providers]\n{name} = {value}\n")
    (tmp_path / "xuezu_identity_example.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    provider = make(name)
    started = await provider.begin(ATTEMPT)
    assert started.url.startswith("https://")
    assert (await provider.fetch_result(started.token)).outcome is Outcome.PENDING
    with pytest.raises(BadNotification):
        provider.read_notification({}, b"")


def test_settings_of_the_documentation_are_those_that_are_read() -> None:
    named = {name.removesuffix("_FILE") for name in re.findall(r"XUEZU_IDENTITY_[A-Z]+_[A-Z_]+", GUIDE.read_text())}
    assert {variable for kind in ALL for variable in list_variables(kind)} == named


# The service


@pytest.fixture
async def alipay(make: Make, app: FastAPI) -> AsyncIterator[IdentityProvider]:
    """Let the service use the played Alipay and Tencent Cloud."""
    before, alipay = IDENTITY.get(app), make("alipay")
    IDENTITY.provide(app, {"alipay": alipay, "tencent": make("tencent")})
    yield alipay
    IDENTITY.provide(app, before)


async def begin(person: Person, method: str = "alipay") -> Json:
    answer = await person.post("/v1/me/verifications", json=name_person(person.name, method=method))
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def read(person: Person, made: Json) -> tuple[str, str | None]:
    shown = (await person.get(f"/v1/me/verifications/{made['id']}")).json()
    return shown["state"], shown["reason"]


def get_return_address(made: Json) -> str:
    return str(made["redirect_url"]).replace("/verify?", "/verified?")


async def notify(person: Person, made: Json) -> httpx.Response:
    form = sign_notification({"biz_content": f'{{"certify_id":"certify-{made["id"].replace("-", "")}"}}'})
    return await person.api.post("/v1/verifications/alipay/notifications", data=form)


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False)


@pytest.mark.usefixtures("alipay")
async def test_return_alone_proves_nothing_and_the_query_decides(person: Person, played: Played) -> None:
    made = await begin(person)
    back = get_return_address(made)
    assert "尚无认证结果" in (await person.api.get(back)).text, "the person has not been there"
    onward = await person.api.get(made["redirect_url"])
    assert (onward.status_code, onward.headers["cache-control"]) == (303, "no-store")
    page = read_page(played, onward.headers["location"])
    assert parse_qs(urlsplit(page["return_url"]).query) == parse_qs(urlsplit(back).query)
    again = await person.api.get(made["redirect_url"])
    assert again.headers["location"] == onward.headers["location"], "it begins once"
    played.result = {"passed": "F"}
    assert "尚无认证结果" in (await person.api.get(f"{back}&passed=T&certify_id=x")).text
    assert await read(person, made) == ("started", None)
    played.result = {"passed": "T"}
    assert "认证已通过" in (await person.api.get(back)).text
    assert await read(person, made) == ("approved", None)
    assert (await person.get("/v1/me")).json()["verified_name"] == person.name
    assert "认证已经结束" in (await person.api.get(back)).text


@pytest.mark.usefixtures("alipay")
async def test_notification_makes_the_service_ask_and_a_replay_asks_nothing(person: Person, played: Played) -> None:
    made = await begin(person)
    await person.api.get(made["redirect_url"])
    played.answer = (503, b"")
    assert (await notify(person, made)).status_code == 503, "Alipay notifies again"
    played.answer, played.result = None, {"passed": "T"}
    assert (await notify(person, made)).text == "success"
    assert await read(person, made) == ("approved", None)
    asked = len(played.calls)
    assert ((await notify(person, made)).text, len(played.calls)) == ("success", asked)


@pytest.mark.usefixtures("alipay")
@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"passed": "F"}, "declined"),
        ({"passed": "T", "identity_info": '{"cert_name":"另一人"}'}, "identity-differs"),
        ({"passed": "T", "identity_info": '{"cert_no":"11010519491231002X"}'}, "identity-differs"),
    ],
)
async def test_result_about_another_person_or_none_rejects(
    person: Person, played: Played, db: AsyncConnection, result: Mapping[str, object], reason: str
) -> None:
    made = await begin(person)
    await person.api.get(made["redirect_url"])
    played.result = result
    assert (await notify(person, made)).text == "success"
    assert await read(person, made) == ("rejected", reason)
    assert (await person.get("/v1/me")).json()["verified_name"] is None
    left = "SELECT num_nonnulls(id_number_cipher, provider_token, provider_url) FROM verifications WHERE id = :id"
    assert await db.scalar(text(left), {"id": made["id"]}) == 0


@pytest.mark.usefixtures("alipay")
async def test_provider_that_fails_shows_a_page_and_can_be_tried_again(person: Person, played: Played) -> None:
    made = await begin(person, "tencent")
    played.answer = (503, b"")
    with capture_logs() as logs:
        refused = await person.api.get(made["redirect_url"])
    assert (refused.status_code, "暂时没有响应" in refused.text) == (503, True)
    assert [(entry["provider"], entry["cause"], entry["code"]) for entry in logs if "provider" in entry] == [
        ("tencent", Cause.UNREACHABLE, "503")
    ]
    played.answer = None
    assert (await person.api.get(made["redirect_url"])).status_code == 303
    played.answer = (503, b"")
    assert (await person.api.get(get_return_address(made))).status_code == 503
    assert await read(person, made) == ("started", None)


@pytest.mark.usefixtures("played")
def test_check_tells_what_the_provider_has_found_out(
    settings: Settings, played: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "")
    for name, result, expected in (
        ("alipay", {"passed": "T"}, True),
        ("alipay", {"passed": "F", "fail_reason": "X"}, False),
        ("tencent", {"ErrCode": 0, "Name": NAME, "IdCard": NUMBER}, True),
        ("tencent", {"ErrCode": None}, False),
    ):
        played.result = result
        assert command.check_name(settings, name, NAME, NUMBER) is expected
    played.answer = (503, b"")
    assert not command.check_name(settings, "alipay", NAME, NUMBER)
    shown = capsys.readouterr()
    assert "alipay: open https" not in shown.out, "the played gateway has no TLS"
    assert shown.out.count(": open http") == 4
    assert "alipay: failed: unreachable (its code is 503)." in shown.err
    assert NUMBER not in shown.out + shown.err


@pytest.mark.usefixtures("alipay")
async def test_nothing_secret_is_logged(
    person: Person, played: Played, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        made = await begin(person)
        await person.api.get(made["redirect_url"])
        played.answer = (200, {"error_response": {"code": "40004", "sub_msg": person.name}})
        await notify(person, made)
        await person.api.get(get_return_address(made))
    own = [record.getMessage() for record in caplog.records if not record.name.startswith(("uvicorn", "asyncio"))]
    logged = capsys.readouterr().out + str(own)
    secrets = [made["redirect_url"].partition("=")[2], person.name, played.calls[0][1]["identity_param"]["cert_no"]]
    key = bare(playing.APP_KEY, serialization.PrivateFormat.PKCS8)
    assert not [secret for secret in (*secrets, key[100:140]) if secret in logged]


async def test_worker_asks_for_results_that_nobody_brings_and_erases_the_rest(
    people: People, played: Played, engine: AsyncEngine, db: AsyncConnection, worker: Any, monkeypatch: Any
) -> None:
    """The worker reads the settings, so it uses the simulated provider, which knows no result in another process."""
    person = await people.register(verified=False)
    made = await begin(person)
    await person.api.get(made["redirect_url"])
    asked: list[str] = []

    async def fetch_result(self: object, token: str) -> Result:
        asked.append(token)
        return Result(Outcome.PASSED)

    monkeypatch.setattr("devtools.providers.alipay.SimulatedAlipay.fetch_result", fetch_result)
    (check,) = [entry for entry in CLEAN_UPS if entry.name == "verification-checks"]
    (erase,) = [entry for entry in CLEAN_UPS if entry.name == "unfinished-verifications"]
    age = text("UPDATE verifications SET created_at = now() - make_interval(secs => :seconds) WHERE id = :id")
    await db.execute(age, {"id": made["id"], "seconds": 90})
    await run_clean_up(engine, check)
    await worker()
    assert (asked, await read(person, made)) == ([], ("started", None))
    await db.execute(age, {"id": made["id"], "seconds": 130})
    await run_clean_up(engine, check)
    await worker()
    assert (len(asked), await read(person, made)) == (1, ("approved", None))
    other = await people.register(verified=False)
    late = await begin(other)
    over = text("UPDATE verifications SET expires_at = now() - interval '1 second' WHERE id = :id")
    await db.execute(over, {"id": late["id"]})
    assert await run_clean_up(engine, erase) >= 1
    number = text("SELECT id_number_cipher FROM verifications WHERE id = :id")
    assert await db.scalar(number, {"id": late["id"]}) is None
