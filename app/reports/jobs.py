"""The jobs of reports: they write exports, and compare the stored totals with a recount."""

from collections.abc import Mapping
from datetime import timedelta

import structlog

from app.core.calendar import today
from app.database.connections import Database, Role
from app.exports.jobs import export_job
from app.queue.checks import record_check
from app.queue.jobs import Job, Payload, Worker
from app.reports.export import OVERVIEW, OWN_OVERVIEW, OWN_TREND, RANKING, TREND, UNITS
from app.reports.rollup.retention import CHECK_TOTALS
from app.reports.rollup.verify import find_differences

log = structlog.get_logger()

TOTALS_CHECK = "totals"

_KINDS = (OVERVIEW, OWN_OVERVIEW, TREND, OWN_TREND, UNITS, RANKING)


async def check_totals(worker: Worker, _: Payload) -> None:
    """Compare the totals of yesterday and today, and what they are made of, with a recount in one snapshot.

    It reads, and takes as long as `xuezu totals verify --since` of yesterday. The number of differences becomes a
    metric; the log has their kinds without the rows.
    """
    connection, findings = await Database.from_settings(worker.settings).connect(Role.REPORT), 0
    try:
        async for difference in find_differences(connection, today() - timedelta(days=1)):
            findings += 1
            if findings == 1:
                log.error("totals_differ", kind=difference.kind)
    finally:
        await connection.close()
    async with worker.engine.begin() as db:
        await record_check(db, TOTALS_CHECK, findings)


JOBS: Mapping[str, Job] = {
    **{name: job for kind in _KINDS for name, job in export_job(kind).items()},
    CHECK_TOTALS: Job(check_totals, concurrency_limit=1),
}
