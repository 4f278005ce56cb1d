"""Somebody who edits one hierarchy at random. Run as a program it is one more process of the service, over the same
database, with such workers of its own: it reads its `Part` as JSON, and its last word, on stderr, is its `Outcome`.
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
    """A person with a session of this process's own."""

    user_id: str
    phone: str
    token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one process does: `workers` of them, told apart by their seeds, make `edits` each."""

    database_url: str
    data_dir: str
    editors: Sequence[Editor]
    orgs: Sequence[str]
    tokens: dict[str, str]
    seeds: Sequence[int]
    edits: int


@dataclass(slots=True)
class Outcome:
    """How the edits were answered, and the ids of the requests of those that took place."""

    answers: Counter[int] = field(default_factory=Counter)
    made: list[str] = field(default_factory=list)


class Worker:
    """Edits at random what they think they administer; most of it is refused, none of it breaks."""

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
                await self._asked(caller, "POST", f"{path}/applications", body)
            case 1:
                await self._asked(caller, "DELETE", f"{path}/subordinates/{other}")
            case 2:
                await self._asked(caller, "POST", f"{path}/admin-invitations", {"phone": peer.phone})
            case 3:
                await self._asked(caller, "DELETE", f"{path}/admins/{peer.user_id}")
            case 4:
                await self._asked(caller, "DELETE", f"{path}/admins/me")
            case 5:
                body = {"kind": dice.choice(["hand-over", "recovery"]), "main_admin_id": peer.user_id}
                await self._asked(caller, "POST", f"{path}/change-requests", body)
            case 6:
                await self._asked(caller, "PATCH", path, {"name": fresh_org_name()})
            case 7:
                await self._answer(caller)
            case 8:
                body = {"invitation_token": self._part.tokens[other]}
                await self._asked(caller, "POST", f"{path}/transfers", body)

    async def _asked(self, caller: Caller, method: str, path: str, body: Json | None = None) -> None:
        answer = _served(await caller.call(method, path, body))
        self._edits += 1
        self._outcome.answers[answer.status] += 1
        if answer.status < 300:
            self._outcome.made.append(answer.request_id)

    async def _answer(self, caller: Caller) -> None:
        """Answer what waits, mostly with yes."""
        for entry in _served(await caller.get("/v1/inbox?limit=5")).json()["items"]:
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
            await self._asked(caller, action["method"], action["href"], body)


def _served(answer: Answer) -> Answer:
    assert answer.status < 500, answer.content
    assert answer.status != 401, answer.content
    return answer


async def edit(app: FastAPI, part: Part) -> Outcome:
    """The part's workers at once, in this process."""
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
            granted = _served(await caller.form("/oauth/token", **form)).json()
            caller.token = granted["access_token"]
            refresh_tokens[number] = granted["refresh_token"]


async def edit_elsewhere(part: Part) -> Outcome:
    """The same in a process of its own."""
    command = (sys.executable, "-m", "tests.proofs.editing")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=DEVNULL, stderr=PIPE)
    try:
        _, error = await process.communicate(json.dumps(asdict(part)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, error.decode()[-4000:]
    told = json.loads(error.splitlines()[-1])
    return Outcome(Counter({int(status): count for status, count in told["answers"].items()}), told["made"])


async def _main(told: Json) -> Outcome:
    part = Part(**told | {"editors": [Editor(**editor) for editor in told["editors"]]})
    settings = Settings(database_url=SecretStr(part.database_url), data_dir=Path(part.data_dir)).with_secrets()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        return await edit(app, part)


if __name__ == "__main__":
    done = asyncio.run(_main(json.load(sys.stdin)))
    sys.stderr.write("\n" + json.dumps({"answers": done.answers, "made": done.made}))
