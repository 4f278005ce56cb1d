"""`read_org`: a signed-in, authorized read of one org over HTTP, beside a bare handler of the same row."""

import httpx

from app.demo.people import Person, fresh_name, fresh_phone
from bench import load
from bench.rows import Row
from bench.service import Measured

GOAL = 0.40
ROUNDS = 3


def read_org(measured: Measured, seconds: float) -> Row:
    """Requests a second, the medians of rounds taken in turn, since the machine's speed drifts."""
    with httpx.Client(base_url=measured.ours, timeout=30) as service:
        reader = Person(service, fresh_phone(), fresh_name())
        reader.register()
        reader.verify()
        reader.call("PATCH", "/v1/me", 200, json={"party_member": True})
        org = reader.call("POST", "/v1/orgs", 201, json={"name": "中共测量县委员会", "region_code": "320102"})
    path = f"/v1/orgs/{org['id']}"
    headers = {"Authorization": f"Bearer {reader.token}"}
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(load.get(measured.ours + path, headers, seconds=seconds))
        bare.append(load.get(measured.reference + path, {}, seconds=seconds))
    failed = sum(run.failed for run in (*ours, *bare))
    if failed:
        raise RuntimeError(f"{failed} requests failed")
    return Row("read_org", _median(ours), _median(bare), GOAL)


def _median(runs: list[load.Load]) -> float:
    return sorted(run.per_second for run in runs)[len(runs) // 2]
