"""What a process of the API knows of itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket

from fastapi import FastAPI
from sqlalchemy.pool import QueuePool

from app.core.metrics import Gauge
from app.core.services import SETTINGS
from app.database.db import ENGINE, POOL
from app.database.replica import REPLICA
from app.health.router import NotReady, check_database
from app.monitoring.server import serve_metrics

READY = Gauge("ready", "1 while this process can answer requests (as /readyz says), otherwise 0")
CONNECTIONS = Gauge("database_connections", "Connections of this process to the database that are in use")
CONNECTION_LIMIT = Gauge("database_connections_limit", "Connections of this process to the database at most")
REPLICA_LAG = Gauge("replica_lag_seconds", "Age of the data of the standby, as this process sees it")
REPLICA_USED = Gauge("replica_used", "1 while this process reads from the standby of XUEZU_REPLICA_URL, otherwise 0")


@asynccontextmanager
async def serve_api_metrics(app: FastAPI, sockets: list[socket]) -> AsyncIterator[None]:
    """Serve the metrics of this process of the API during the block; without sockets, do nothing."""

    async def refresh() -> None:
        await set_gauges(app)

    async with serve_metrics(sockets, refresh):
        yield


async def set_gauges(app: FastAPI) -> None:
    """Set the gauges of this process."""
    engine, replica = ENGINE.get(app), REPLICA.get(app)
    in_use = engine.pool.checkedout() if isinstance(engine.pool, QueuePool) else 0
    CONNECTIONS.set(in_use + POOL.get(app).in_use)
    CONNECTION_LIMIT.set(SETTINGS.get(app).database_pool)
    if replica is not None:
        REPLICA_LAG.set(replica.lag)
        REPLICA_USED.set(int(replica.freshness is not None))
    try:
        await check_database(engine)
        READY.set(1)
    except NotReady:
        READY.set(0)
