"""Workers that edit one hierarchy at random. Run as a program, the module is one more process of the service with the
same database and its own workers: it reads its `Part` as JSON and writes its `Outcome` as the last line of stderr.
"""

import asyncio
import json
import random
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fastapi import FastAPI
from pydantic import SecretStr

from app.core.settings import Settings
from app.main import create_app
from tests.acts import Json
from tests.auth.concurrent_calls import Answer, Caller
from tests.people import fresh_org_name


@dataclass(frozen=True, slots=True)
class Editor:
    """A person with a session for this process alone."""

    user_id: str
    phone: str
    token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Part:
    """The work of one process: one worker for each seed, which makes `edits` edits."""

    database_url: str
    data_dir: str
    editors: Sequence[Editor]
    orgs: Sequence[str]
    tokens: dict[str, str]
    seeds: Sequence[int]
    edits: int


DECISIONS = {"approval", "refusal", "acceptance", "release", "closure"}


@dataclass(slots=True)
class Outcome:
    """The number of answers by status, and for each edit that was made its key and its request id.

    A repeated decision is answered as the first time and changes nothing, so all calls of one decision have one key.
    """

    answers: Counter[int] = field(default_factory=Counter)
    made: list[tuple[str, str]] = field(default_factory=list)


class Worker:
    """Makes random edits. Most of them are refused, and none may fail with a 5xx."""

    def __init__(self, part: Part, callers: Sequence[Caller], outcome: Outcome, seed: int) -> None:
        self._part, self._callers, self._outcome = part, callers, outcome
        self._dice = random.Random(seed)
        self._edits = 0

    async def work(self) -> None:
        while self._edits < self._part.edits:
            await self._edit()

    async def _edit(self) -> None:
        dice, orgs = self._dice, self._part.orgs
        caller, peer = dice.choice(self._callers), dice.choice(self._part.editors)
        org, other = dice.choice(orgs), dice.choice(orgs)
        path = f"/v1/orgs/{org}"
        match dice.randrange(9):
            case 0:
                body = {"invitation_token": self._part.tokens[other]}
                await self._send_edit(caller, "POST", f"{path}/applications", body)
            case 1:
                await self._send_edit(caller, "DELETE", f"{path}/subordinates/{other}")
            case 2:
                await self._send_edit(caller, "POST", f"{path}/admin-invitations", {"phone": peer.phone})
            case 3:
                await self._send_edit(caller, "DELETE", f"{path}/admins/{peer.user_id}")
            case 4:
                await self._send_edit(caller, "DELETE", f"{path}/admins/me")
            case 5:
                body = {"kind": dice.choice(["hand-over", "recovery"]), "main_admin_id": peer.user_id}
                await self._send_edit(caller, "POST", f"{path}/change-requests", body)
            case 6:
                await self._send_edit(caller, "PATCH", path, {"name": fresh_org_name()})
            case 7:
                await self._answer_inbox(caller)
            case 8:
                body = {"invitation_token": self._part.tokens[other]}
                await self._send_edit(caller, "POST", f"{path}/transfers", body)

    async def _send_edit(self, caller: Caller, method: str, path: str, body: Json | None = None) -> None:
        answer = _require_served(await caller.call(method, path, body))
        self._edits += 1
        self._outcome.answers[answer.status] += 1
        if answer.status < 300:
            decision = method == "PUT" and path.rpartition("/")[2] in DECISIONS
            # An admin of both orgs of a transfer can repeat in one what they decided in the other: the key has no org.
            key = (path.partition("/transfers/")[2] or path) if decision else answer.request_id
            self._outcome.made.append((key, answer.request_id))

    async def _answer_inbox(self, caller: Caller) -> None:
        """Answer the entries of the inbox; accept nine of ten."""
        for entry in _require_served(await caller.get("/v1/inbox?limit=5")).json()["items"]:
            names = [name for name in entry["actions"] if name != "refusal"] or ["refusal"]
            name = "refusal" if "refusal" in entry["actions"] and self._dice.random() < 0.1 else names[0]
            body: Json | None = None
            if name == "refusal" and entry["kind"] != "admin-invitation":
                body = {"reason": "随机"}
            elif name != "refusal" and entry["kind"] == "transfer":
                read = await caller.get(entry["href"])
                preview = read.json().get("preview") if read.status == 200 else None
                body = {"preview": preview["version"] if preview else "0" * 32}
            action = entry["actions"][name]
            await self._send_edit(caller, action["method"], action["href"], body)


def _require_served(answer: Answer) -> Answer:
    assert answer.status < 500, answer.content
    assert answer.status != 401, answer.content
    return answer


async def run_part(app: FastAPI, part: Part) -> Outcome:
    """Run the workers of the part concurrently in this process."""
    callers = [Caller(app, editor.token) for editor in part.editors]
    outcome = Outcome()
    renewing = asyncio.create_task(_stay_signed_in(callers, [editor.refresh_token for editor in part.editors]))
    try:
        await asyncio.gather(*(Worker(part, callers, outcome, seed).work() for seed in part.seeds))
    finally:
        renewing.cancel()
    return outcome


async def _stay_signed_in(callers: Sequence[Caller], refresh_tokens: list[str]) -> None:
    while True:
        await asyncio.sleep(240)
        for number, caller in enumerate(callers):
            form = {"grant_type": "refresh_token", "client_id": "xuezu-app", "refresh_token": refresh_tokens[number]}
            granted = _require_served(await caller.form("/oauth/token", **form)).json()
            caller.token = granted["access_token"]
            refresh_tokens[number] = granted["refresh_token"]


async def run_part_in_process(part: Part) -> Outcome:
    """Run the part in a process of its own."""
    command = (sys.executable, "-m", "tests.proofs.editing")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=DEVNULL, stderr=PIPE)
    try:
        _, error = await process.communicate(json.dumps(asdict(part)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, error.decode()[-4000:]
    report = json.loads(error.splitlines()[-1])
    return Outcome(
        Counter({int(status): count for status, count in report["answers"].items()}),
        [(key, made) for key, made in report["made"]],
    )


async def _main(report: Json) -> Outcome:
    part = Part(**report | {"editors": [Editor(**editor) for editor in report["editors"]]})
    settings = Settings(database_url=SecretStr(part.database_url), data_dir=Path(part.data_dir)).complete_secrets()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        return await run_part(app, part)


if __name__ == "__main__":
    outcome = asyncio.run(_main(json.load(sys.stdin)))
    sys.stderr.write("\n" + json.dumps({"answers": outcome.answers, "made": outcome.made}))
