"""The job that verifies a part of the audit each day."""

from collections.abc import Mapping

import structlog

from app.audit.retention import CHECK_AUDIT
from app.audit.seals import read_head
from app.audit.verification import find_faults
from app.core.calendar import today
from app.database.connections import Database, Role
from app.queue.checks import record_check
from app.queue.jobs import Job, Payload, Worker

log = structlog.get_logger()

CHECK = "audit"
SEALS = 2000
"""Seals that the job verifies of the newest, and as many of the older ones: 4 million entries, some minutes."""


async def check_audit(worker: Worker, _: Payload) -> None:
    """Verify the newest seals, and a part of the older ones that is another one each day.

    The number of findings becomes a metric; the log has the first one.
    """
    connection, findings = await Database.from_settings(worker.settings).connect(Role.REPORT), 0
    try:
        newest = (await read_head(connection)).number
        parts = [(max(newest - SEALS, 0), newest)]
        if newest > SEALS:
            begin = today().toordinal() * SEALS % (newest - SEALS)
            parts.append((begin, min(begin + SEALS, newest - SEALS)))
        for after, until in parts:
            async for finding in find_faults(connection, after=after, until=until):
                findings += 1
                if findings == 1:
                    log.error("audit_broken", fault=finding.fault, seal=finding.seal)
    finally:
        await connection.close()
    async with worker.engine.begin() as db:
        await record_check(db, CHECK, findings)


JOBS: Mapping[str, Job] = {CHECK_AUDIT: Job(check_audit, concurrency_limit=1)}
