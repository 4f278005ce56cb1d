"""The registry of all clean-ups and of the tables without one (`docs/RETENTION.md`).

The queue's scheduler schedules each entry. The schedule only adds a job, at most one for each entry at a time; the job
does the work. A clean-up therefore behaves as every job: a failed one is tried again and does not stop others, another
worker continues the job of a killed worker, and two workers never run the same clean-up at once.
"""

import time
from collections.abc import Mapping

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.approvals import retention as approvals
from app.audit import retention as audit
from app.audit_log import retention as audit_log
from app.auth import retention as auth
from app.auth.recoveries import retention as recoveries
from app.auth.verification import retention as verification
from app.database.retention import CleanUp
from app.exports import retention as exports
from app.idempotency import retention as idempotency
from app.members import retention as members
from app.members.imports import retention as imports
from app.messages import retention as messages
from app.org_loads import retention as org_loads
from app.orgs import retention as orgs
from app.personal_data import retention as personal_data
from app.points import retention as points
from app.queue import retention as queue
from app.queue.jobs import Job, Payload, Worker, enqueue_once
from app.reports.rollup import retention as rollup
from app.sms import retention as sms

log = structlog.get_logger()

CLEAN_UPS: tuple[CleanUp, ...] = (
    *idempotency.CLEAN_UPS,
    *auth.CLEAN_UPS,
    *sms.CLEAN_UPS,
    *recoveries.CLEAN_UPS,
    *verification.CLEAN_UPS,
    *approvals.CLEAN_UPS,
    *messages.CLEAN_UPS,
    *orgs.CLEAN_UPS,
    *members.CLEAN_UPS,
    *exports.CLEAN_UPS,
    *personal_data.CLEAN_UPS,
    *imports.CLEAN_UPS,
    *org_loads.CLEAN_UPS,
    *points.CLEAN_UPS,
    *rollup.CLEAN_UPS,
    *audit_log.CLEAN_UPS,
    *audit.CLEAN_UPS,
    *queue.CLEAN_UPS,
)

STORED_FOREVER: Mapping[str, tuple[str, ...]] = {
    "The present state of the service; the row changes or goes with the thing itself.": (
        "users",
        "oauth_clients",
        "operators",
        "security_keys",
        "signing_keys",
        "data_keys",
        "orgs",
        "org_admins",
        "org_blocks",
        "import_headings",
        "index_rotations",
        "health_checks",
        "pgqueuer_schedules",
        "alembic_version",
        "schema_compatibility",
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
    "The requester and the decision.": (
        "invitations",
        "join_links",
        "transfers",
        "group_transfer_people",
    ),
    "Where and when an account signed in; closing the account erases device and address.": ("sessions",),
    "What was done, and by which user, a partition a month. The database refuses to change it.": (
        "audit_entries",
        "audit_seals",
    ),
    "The ledger, a partition a day. `xuezu points archive` moves old days aside.": ("point_events",),
    "Work that waits for the worker, which deletes the row when it is done.": (
        "point_deltas",
        "member_deltas",
        "user_deltas",
        "edge_deltas",
        "prepared_days",
        "pgqueuer",
    ),
}
"""The tables that no clean-up changes, by the reason."""

JOB = "clean-up"
SCHEDULED = "clean-up:{}"
_BY_NAME = {clean_up.name: clean_up for clean_up in CLEAN_UPS}


async def run_clean_up(engine: AsyncEngine, clean_up: CleanUp) -> int:
    """Delete all expired data, one batch per transaction, and write one log line. Returns the number deleted."""
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


async def _run_clean_up_job(worker: Worker, payload: Payload) -> None:
    clean_up = _BY_NAME.get(payload["name"])
    if clean_up is not None:  # None if another version of the service scheduled it
        await run_clean_up(worker.engine, clean_up)


JOBS: Mapping[str, Job] = {JOB: Job(_run_clean_up_job, concurrency_limit=2)}


async def request_clean_up(engine: AsyncEngine, clean_up: CleanUp) -> None:
    """Enqueue the job that runs this clean-up, unless one is waiting or running."""
    async with engine.begin() as db:
        await enqueue_once(db, JOB, {"name": clean_up.name}, key=SCHEDULED.format(clean_up.name))
