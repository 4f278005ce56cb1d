"""What is deleted, when, and what is kept for good: one list for all features (`docs/RETENTION.md`).

Each entry is scheduled by the queue's own scheduler. The schedule only adds a job, at most one for each entry at a
time; the job does the work. So a clean-up has what every job has: one that fails is tried again and stops no other,
one whose worker was killed is taken up by another worker, and no two workers run the same one at once.
"""

import time
from collections.abc import Mapping

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.approvals import retention as approvals
from app.auth import retention as auth
from app.database.retention import CleanUp
from app.exports import retention as exports
from app.idempotency import retention as idempotency
from app.members.imports import retention as imports
from app.queue import retention as queue
from app.queue.jobs import Job, Payload, Worker, enqueue_once
from app.reports.rollup import retention as rollup

log = structlog.get_logger()

CLEAN_UPS: tuple[CleanUp, ...] = (
    *idempotency.CLEAN_UPS,
    *auth.CLEAN_UPS,
    *approvals.CLEAN_UPS,
    *exports.CLEAN_UPS,
    *imports.CLEAN_UPS,
    *rollup.CLEAN_UPS,
    *queue.CLEAN_UPS,
)

KEPT_FOR_GOOD: Mapping[str, tuple[str, ...]] = {
    "The present state of the service; the row changes or goes with the thing itself.": (
        "users",
        "oauth_clients",
        "operators",
        "security_keys",
        "signing_keys",
        "orgs",
        "org_admins",
        "index_rotations",
        "pgqueuer_schedules",
        "alembic_version",
    ),
    "Reports of past days are counted from it.": (
        "units",
        "members",
        "unit_memberships",
        "activations",
        "member_phones",
        "certifications",
        "memberships",
        "tree_edges",
        "user_days",
    ),
    "Who asked for what and who decided.": ("invitations", "transfers"),
    "The identity of every administrator was checked once; closing the account deletes it.": ("verifications",),
    "Where and when an account signed in; closing the account erases device and address.": ("sessions",),
    "What was done and who did it. The database refuses to change it.": ("audit_entries", "outgoing_events"),
    "The ledger. `xuezu points archive` moves old days aside, and an event that is sent again never counts twice.": (
        "point_events",
        "point_event_keys",
    ),
    "Work that waits for the worker, which deletes the row when it is done.": (
        "point_deltas",
        "member_deltas",
        "edge_deltas",
        "prepared_days",
        "pgqueuer",
    ),
}
"""The tables that no clean-up touches, by the reason."""

JOB = "clean-up"
SCHEDULED = "clean-up:{}"
_BY_NAME = {clean_up.name: clean_up for clean_up in CLEAN_UPS}


async def run_clean_up(engine: AsyncEngine, clean_up: CleanUp) -> int:
    """Delete all that has expired, a batch a transaction, and write one line to the log; returns how much it was."""
    began, deleted = time.perf_counter(), 0
    while True:
        async with engine.begin() as db:
            batch = await clean_up.run(db, clean_up.batch)
        deleted += batch
        if batch < clean_up.batch:
            break
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    log.info("clean_up", clean_up=clean_up.name, deleted=deleted, ms=milliseconds)
    return deleted


async def _run(worker: Worker, payload: Payload) -> None:
    clean_up = _BY_NAME.get(payload["name"])
    if clean_up is not None:  # else it was scheduled by another version of the service
        await run_clean_up(worker.engine, clean_up)


JOBS: Mapping[str, Job] = {JOB: Job(_run, concurrency_limit=2)}


async def request_clean_up(engine: AsyncEngine, clean_up: CleanUp) -> None:
    """Add the job that runs this clean-up, unless one waits or runs already."""
    async with engine.begin() as db:
        await enqueue_once(db, JOB, {"name": clean_up.name}, key=SCHEDULED.format(clean_up.name))
