"""What the worker asks the database, and the server of the public address, when its metrics are read."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from socket import socket
from urllib.parse import urlsplit

import asyncpg
from cryptography import x509

from app.audit.seals import FIRST_ID
from app.backup.repository import read_backup_age
from app.core.metrics import Gauge
from app.core.settings import Settings
from app.database.connections import Database, Role
from app.database.driver import ReadPool
from app.monitoring.server import serve_metrics
from app.worker.worker import JOBS

JOBS_WAITING = Gauge("jobs_waiting", "Jobs whose time has come and that no worker has taken", "job")
JOBS_RUNNING = Gauge("jobs_running", "Jobs that a worker runs", "job")
JOB_AGE = Gauge("job_age_seconds", "How long the oldest waiting job is due", "job")
TOTALS_LAG = Gauge("totals_lag_seconds", "Age of the oldest write that the totals of the reports do not contain")
TRANSACTION_AGE = Gauge("oldest_write_transaction_seconds", "Age of the oldest open transaction that has written")
CHECK_FINDINGS = Gauge("check_findings", "What the last run of a check has found wrong", "check")
CHECK_AGE = Gauge("check_age_seconds", "Time since the last run of a check", "check")
ARCHIVE_FAILING = Gauge("wal_archive_failing", "1 while PostgreSQL cannot archive its write-ahead log, otherwise 0")
ARCHIVE_AGE = Gauge("wal_archive_age_seconds", "Time since a segment of the write-ahead log was archived")
UNSEALED_AGE = Gauge("audit_unsealed_seconds", "Age of the oldest audit entry that no seal covers")
BACKUP_AGE = Gauge("backup_age_seconds", "Time since the newest backup in XUEZU_BACKUP_DIR was finished")
SIGNING_KEY_AGE = Gauge("signing_key_age_days", "Age of the key that signs tokens")
CERTIFICATE_DAYS = Gauge("certificate_days_left", "Days until the certificate of XUEZU_PUBLIC_URL ends")
STANDBY_LAG = Gauge("standby_lag_seconds", "Time since the standby has replayed all that it has received")

OTHER = "other"
"""The label of a job that this version does not know."""
CERTIFICATE_SECONDS = 3600.0
"""The certificate is looked at this often."""

_JOBS = """
SELECT entrypoint,
    count(*) FILTER (WHERE status = 'queued' AND execute_after <= now()) AS waiting,
    count(*) FILTER (WHERE status = 'picked') AS running,
    extract(epoch FROM now() - min(execute_after) FILTER (WHERE status = 'queued' AND execute_after <= now()))::float8
        AS age
FROM pgqueuer GROUP BY entrypoint
"""
_TOTALS = """
SELECT extract(epoch FROM now() - least(
    now(),
    (SELECT at FROM point_deltas ORDER BY id LIMIT 1),
    (SELECT at FROM member_deltas ORDER BY id LIMIT 1),
    (SELECT at FROM edge_deltas ORDER BY id LIMIT 1)
))::float8 AS lag
"""
_TRANSACTIONS = """
SELECT coalesce(extract(epoch FROM max(now() - xact_start)), 0)::float8 AS age
FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND datname = current_database()
"""
_CHECKS = "SELECT name, findings, extract(epoch FROM now() - checked_at)::float8 AS age FROM health_checks"
_ARCHIVE = """
SELECT (last_failed_time IS NOT NULL AND last_failed_time > coalesce(last_archived_time, '-infinity'))::int AS failing,
    extract(epoch FROM now() - last_archived_time)::float8 AS age
FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off'
"""
_SIGNING_KEY = """
SELECT (extract(epoch FROM now() - max(active_from)) / 86400)::float8 AS age
FROM signing_keys WHERE active_from <= now()
"""
_UNSEALED = """
SELECT coalesce((
    SELECT extract(epoch FROM now() - at) FROM audit_entries
    WHERE id > coalesce((SELECT last_id FROM audit_seals ORDER BY number DESC LIMIT 1), $1)
    ORDER BY id LIMIT 1
), 0)::float8 AS age
"""
_STANDBY = """
SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END::float8 AS lag
"""


@asynccontextmanager
async def serve_worker_metrics(settings: Settings, sockets: list[socket]) -> AsyncIterator[None]:
    """Serve the metrics of the worker during the block; without sockets, do nothing."""
    if not sockets:
        yield
        return
    async with ReadPool(Database.from_settings(settings), 1, Role.LISTEN) as pool:
        gauges = WorkerGauges(settings, pool)
        async with serve_metrics(sockets, gauges.refresh):
            yield


class WorkerGauges:
    """The gauges of the worker, and the connection on which it asks for them."""

    def __init__(self, settings: Settings, pool: ReadPool) -> None:
        self._settings = settings
        self._pool = pool
        self._certificate_asked = 0.0

    async def refresh(self) -> None:
        """Set the gauges. Raises the errors of the database; then the gauges that it gives have no value."""
        await self._look_at_certificate()
        if self._settings.backup_dir is not None:
            BACKUP_AGE.set(await asyncio.to_thread(read_backup_age, self._settings.backup_dir))
        for gauge in (TOTALS_LAG, TRANSACTION_AGE, ARCHIVE_FAILING, ARCHIVE_AGE, SIGNING_KEY_AGE, UNSEALED_AGE):
            gauge.clear()
        for gauge in (JOBS_WAITING, JOBS_RUNNING, JOB_AGE, CHECK_FINDINGS, CHECK_AGE, STANDBY_LAG):
            gauge.clear()
        set_job_gauges({row["entrypoint"]: row for row in await self._pool.fetch(_JOBS)})
        TOTALS_LAG.set((await self._pool.fetch(_TOTALS))[0]["lag"])
        TRANSACTION_AGE.set((await self._pool.fetch(_TRANSACTIONS))[0]["age"])
        for row in await self._pool.fetch(_CHECKS):
            CHECK_FINDINGS.set(row["findings"], row["name"])
            CHECK_AGE.set(row["age"], row["name"])
        for row in await self._pool.fetch(_ARCHIVE):
            ARCHIVE_FAILING.set(row["failing"])
            ARCHIVE_AGE.set(row["age"])
        UNSEALED_AGE.set((await self._pool.fetch(_UNSEALED, FIRST_ID))[0]["age"])
        SIGNING_KEY_AGE.set((await self._pool.fetch(_SIGNING_KEY))[0]["age"])
        if self._settings.replica_url is not None:
            await self._look_at_standby()

    async def _look_at_standby(self) -> None:
        async with ReadPool(Database.from_replica_settings(self._settings), 1, Role.LISTEN) as standby:
            STANDBY_LAG.set((await standby.fetch(_STANDBY))[0]["lag"])

    async def _look_at_certificate(self) -> None:
        address = urlsplit(self._settings.issuer)
        now = time.monotonic()
        if address.scheme != "https" or address.hostname is None:
            return
        if self._certificate_asked and now - self._certificate_asked < CERTIFICATE_SECONDS:
            return
        self._certificate_asked = now
        CERTIFICATE_DAYS.set(await read_certificate_days(address.hostname, address.port or 443))


async def read_certificate_days(host: str, port: int) -> float | None:
    """Return the days until the certificate of a server ends, negative after its end. None: it does not answer.

    The certificate is not verified: one that has ended is to be seen too.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except (OSError, TimeoutError):
        return None
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return (x509.load_der_x509_certificate(found).not_valid_after_utc.timestamp() - time.time()) / 86400


def set_job_gauges(rows: Mapping[str, asyncpg.Record]) -> None:
    """Set the gauges of all kinds of jobs, also of those without a job."""
    for name in JOBS:
        row = rows.get(name)
        JOBS_WAITING.set(row["waiting"] if row else 0, name)
        JOBS_RUNNING.set(row["running"] if row else 0, name)
        JOB_AGE.set((row["age"] or 0) if row else 0, name)
    others = [row for name, row in rows.items() if name not in JOBS]
    if others:
        JOBS_WAITING.set(sum(row["waiting"] for row in others), OTHER)
        JOBS_RUNNING.set(sum(row["running"] for row in others), OTHER)
        JOB_AGE.set(max(row["age"] or 0 for row in others), OTHER)
