"""The people of the demo, with random names and numbers, and their checks of the service's answers."""

import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

PHONE_CODE_GRANT = "urn:xuezu:params:oauth:grant-type:phone-code"
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰"


class UnexpectedAnswer(Exception):
    """The service's answer differs from the rules. The text says how."""


def expect(truth: bool, what: str) -> None:
    if not truth:
        raise UnexpectedAnswer(what)


def read_answer(response: httpx.Response, status: int, slug: str | None = None) -> Any:
    """Return the body of a response. Raise if its status (and the slug of its problem) is not the expected one."""
    error = response.text[:300] if response.is_error else ""
    expect(
        response.status_code == status,
        f"{response.request.method} {response.request.url.path}: {response.status_code} instead of {status} {error}",
    )
    body: Any = response.json() if response.content and "json" in response.headers.get("content-type", "") else None
    if slug is not None:
        expect(body["type"] == f"/problems/{slug}", f"{body['type']} instead of {slug}")
    return body


def fresh_phone() -> str:
    return f"{random.choice((135, 138, 150, 159, 186, 189))}{random.randrange(10**8):08d}"


def fresh_name() -> str:
    return random.choice(SURNAMES) + "".join(random.sample(GIVEN, 2))


def fresh_id_card_number() -> str:
    """Return a random resident ID number with a correct checksum (GB 11643)."""
    day = f"{random.randrange(1955, 2000)}{random.randrange(1, 13):02d}{random.randrange(1, 29):02d}"
    body = f"110101{day}{random.randrange(1000):03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]


@dataclass
class Person:
    """A person with a phone and the app."""

    service: httpx.Client
    phone: str
    name: str
    token: str = field(default="", repr=False)

    def call(self, method: str, path: str, status: int, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        return read_answer(self.service.request(method, path, headers=headers, **options), status)

    def expect_refusal(self, method: str, path: str, status: int, slug: str, **options: Any) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        read_answer(self.service.request(method, path, headers=headers, **options), status, slug)

    def wait_for_state(self, path: str, states: set[str]) -> Any:
        """Read the resource until it has one of these states, and return it."""
        for _ in range(600):
            found = self.call("GET", path, 200)
            if found["state"] in states:
                return found
            expect(found["state"] not in {"failed", "canceled", "refused"}, str(found))
            time.sleep(0.1)
        raise UnexpectedAnswer(f"{path} did not become {states} within a minute")

    def register(self) -> None:
        """Register the person by phone and code. The code is read from the messages of the simulated SMS gateway."""
        sent = read_answer(self.service.post("/v1/phone-codes", json={"phone": self.phone}), 202)
        given = {"phone": self.phone, "code": self._read_code(), "handle": sent["handle"]}
        form = {"grant_type": PHONE_CODE_GRANT, "client_id": "xuezu-app"} | given
        self.token = read_answer(self.service.post("/oauth/token", data=form), 200)["access_token"]

    def _read_code(self) -> str:
        for _ in range(50):
            found = read_answer(self.service.get("/v1/simulator/sms", params={"phone": self.phone}), 200)["items"]
            if found:
                return str(found[0]["code"])
            time.sleep(0.1)
        raise UnexpectedAnswer("no message arrived within five seconds")

    def verify(self) -> None:
        """Verify the person's real name at the simulated Alipay, and wait until its callback has arrived."""
        given = {"method": "alipay", "name": self.name, "id_number": fresh_id_card_number()}
        started = self.call("POST", "/v1/me/verifications", 201, json=given)
        page = self.service.get(started["redirect_url"], follow_redirects=False)
        expect(page.status_code == 303, f"the way to Alipay answers {page.status_code}")
        read_answer(self.service.post(page.headers["location"], json={"consents": True}), 200)
        verified = self.call("GET", "/v1/me", 200)["verified_name"]
        expect(verified == self.name, f"verified as {verified!r}")
