"""A server that plays the protocols of the identity providers. It checks each signature from the raw request, by the
rules of the provider's documentation, and signs its answers."""

import asyncio
import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from socket import create_server
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import uvicorn
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

APP_ID, KEY_ID, SECRET, RULE = "2021000000000001", "played-key", "played-secret-of-32-characters---", "1"
_NAMES = {"C": NameOID.COUNTRY_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}


def make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


APP_KEY, ALIPAY_KEY, ROOT_KEY, OTHER_KEY = (make_key() for _ in range(4))


def make_certificate(
    key: rsa.RSAPrivateKey,
    name: str,
    *,
    issuer: str = "Played Root",
    signer: rsa.RSAPrivateKey = ROOT_KEY,
    serial: int = 42,
    days: int = 30,
) -> str:
    """Return a certificate in PEM, whose names have the parts that Alipay's have."""

    def build_name(common: str) -> x509.Name:
        parts = [x509.NameAttribute(_NAMES[part], value) for part, value in (("C", "CN"), ("O", "Ant"), ("OU", "CA"))]
        return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(build_name(name))
        .issuer_name(build_name(issuer))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=key is ROOT_KEY, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def find_serial(certificate: str) -> str:
    """Return the number of a certificate by the documentation's rule."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    common = found.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return hashlib.md5(f"CN={common!s},OU=CA,O=Ant,C=CN{found.serial_number}".encode()).hexdigest()


APP_CERT = make_certificate(APP_KEY, "app", serial=7)
ALIPAY_CERT = make_certificate(ALIPAY_KEY, "alipay", serial=8)
ROOT_CERT = make_certificate(ROOT_KEY, "Played Root", serial=9)


@dataclass
class Played:
    """The server: its URL, what it is to answer, and what it has been asked."""

    url: str = ""
    answer: tuple[int, Any] | None = None
    """The status and the body (bytes, or JSON) in place of the answer; None for the answer of the protocol."""
    result: Mapping[str, object] = field(default_factory=dict)
    """What the query answers."""
    delay: float = 0
    signing_key: rsa.RSAPrivateKey = ALIPAY_KEY
    cert_sn: str | None = None
    """The certificate that signs the answers in certificate mode; None outside of it."""
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


def sign_as_alipay(text: str, key: rsa.RSAPrivateKey = ALIPAY_KEY) -> str:
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def join(fields: Mapping[str, str]) -> str:
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if fields[name] != "")


def sign_notification(
    fields: Mapping[str, str], *, key: rsa.RSAPrivateKey = ALIPAY_KEY, with_type: bool = False
) -> dict[str, str]:
    """Return a notification as Alipay sends it."""
    whole = {"app_id": APP_ID, "charset": "utf-8", "version": "1.0", "notify_id": "1", **fields, "sign_type": "RSA2"}
    signed = {name: value for name, value in whole.items() if with_type or name != "sign_type"}
    return whole | {"sign": sign_as_alipay(join(signed), key)}


def is_signed_by_app(fields: Mapping[str, str]) -> bool:
    signed = {name: value for name, value in fields.items() if name != "sign"}
    try:
        APP_KEY.public_key().verify(
            base64.b64decode(fields["sign"]), join(signed).encode(), padding.PKCS1v15(), hashes.SHA256()
        )
    except (InvalidSignature, KeyError):
        return False
    return True


def read_page(played: Played, url: str) -> Mapping[str, Any]:
    """Return the parameters of the page that the person opens, whose signature is the application's."""
    fields = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"{played.url}/gateway.do?")
    assert is_signed_by_app(fields)
    return fields


async def play_alipay(played: Played, request: Request) -> Response:
    """The gateway: public parameters in the query string, `biz_content` in the form."""
    body = await request.body()
    await asyncio.sleep(played.delay)
    fields = dict(request.query_params) | dict(parse_qsl(body.decode()))
    if played.answer is not None:
        status, given = played.answer
        return Response(given, status) if isinstance(given, bytes) else JSONResponse(given, status)
    method = fields["method"]
    name = f"{method.replace('.', '_')}_response"
    expected = (
        {}
        if played.cert_sn is None
        else {"app_cert_sn": find_serial(APP_CERT), "alipay_root_cert_sn": find_serial(ROOT_CERT)}
    )
    common = {"app_id": APP_ID, "sign_type": "RSA2", "charset": "utf-8", "version": "1.0", "format": "JSON"} | expected
    if not is_signed_by_app(fields) or any(fields.get(key) != value for key, value in common.items()):
        return JSONResponse({name: {"code": "40002", "msg": "no", "sub_code": "isv.invalid-signature"}})
    content = orjson.loads(fields["biz_content"])
    played.calls.append((method, content | {"notify_url": fields.get("notify_url")}))
    success: dict[str, object] = {"code": "10000", "msg": "Success"}
    if method.endswith("initialize"):
        success["certify_id"] = f"certify-{content['outer_order_no']}"
    else:
        success |= played.result
    text = orjson.dumps(success).decode().replace(",", " , ")  # the signature is over the characters as they are sent
    sent = f'{{"{name}":{text}'
    if played.cert_sn is not None:
        sent += f',"alipay_cert_sn":"{played.cert_sn}"'
    sent += f',"sign":"{sign_as_alipay(text, played.signing_key)}"}}'
    return Response(sent, media_type="application/json")


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


async def play_tencent(played: Played, request: Request) -> Response:
    """`DetectAuth` and `GetDetectInfoEnhanced` of faceid 2018-03-01."""
    body = await request.body()
    await asyncio.sleep(played.delay)
    if played.answer is not None:
        status, given = played.answer
        return Response(given, status) if isinstance(given, bytes) else JSONResponse(given, status)
    algorithm, _, rest = request.headers["authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    credential, names = parts["Credential"].split("/"), parts["SignedHeaders"].split(";")
    lines = "".join(f"{name}:{request.headers[name].strip().lower()}\n" for name in names)
    canonical = "\n".join(("POST", "/", "", lines, ";".join(names), hashlib.sha256(body).hexdigest()))
    day, service = credential[1], credential[2]
    key = _mac(_mac(_mac(f"TC3{SECRET}".encode(), day), service), "tc3_request")
    time = request.headers["x-tc-timestamp"]
    to_sign = f"{algorithm}\n{time}\n{day}/{service}/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    action = request.headers["x-tc-action"]
    if (
        (credential[0], service) != (KEY_ID, "faceid")
        or parts["Signature"] != _mac(key, to_sign).hex()
        or request.headers["x-tc-version"] != "2018-03-01"
    ):
        return JSONResponse({"Response": {"Error": {"Code": "AuthFailure.SignatureFailure", "Message": "no"}}})
    given = orjson.loads(body)
    played.calls.append((action, given))
    if action == "DetectAuth":
        url = f"https://open.faceid.qq.com/v1/web?biztoken={given['Extra']}"
        return JSONResponse({"Response": {"BizToken": given["Extra"], "Url": url, "RequestId": "1"}})
    return JSONResponse({"Response": {"Text": played.result or {"ErrCode": None}, "RequestId": "1"}})


@contextmanager
def play_providers() -> Iterator[Played]:
    """Serve both protocols on a free port of this machine until the block ends."""
    with create_server(("127.0.0.1", 0)) as listener:
        played = Played(f"http://127.0.0.1:{listener.getsockname()[1]}")
        paths = {"/gateway.do": play_alipay, "/tencent/": play_tencent}
        app = Starlette(routes=[Route(path, partial(play, played), methods=["POST"]) for path, play in paths.items()])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        try:
            while not server.started:
                threading.Event().wait(0.01)
            yield played
        finally:
            server.should_exit = True
            thread.join(10)
