"""The measurement `pooled_…`: reads of an API whose requests go through a pgbouncer in transaction mode, compared with
the same reads without it."""

import os
from uuid import UUID

from bench.requests import Target, compare_requests
from bench.rows import Row
from bench.service import Measured
from tests.pgbouncer import PROGRAM, run_pgbouncer


def pooled(measured: Measured) -> list[Row]:
    """Measure the rows `pooled_org` and `pooled_overview`. Without pgbouncer on this machine there are no rows."""
    if PROGRAM is None:
        return []
    county, root = measured.world.county, measured.world.root
    reads = {
        "pooled_org": (county, f"/v1/orgs/{county}"),
        "pooled_overview": (root, f"/v1/orgs/{root}/reports/overview"),
    }
    with run_pgbouncer(measured.url, pool_size=2 * (os.cpu_count() or 1)) as address:
        settings = {"XUEZU_DATABASE_URL": address, "XUEZU_DIRECT_URL": measured.url, "XUEZU_TRANSACTION_POOLER": "true"}
        with measured.run_process("pooled", ("-m", "app.cli", "serve"), "/readyz", settings=settings):
            return [_compare_with_direct(measured, name, *of) for name, of in reads.items()]


def _compare_with_direct(measured: Measured, name: str, org_id: UUID, path: str) -> Row:
    direct = Target(path, measured.sign_in(measured.find_main_admin(org_id)))
    rounds = compare_requests(measured, direct._replace(process="pooled"), direct)
    return Row.from_rounds(name, *rounds, 0.8, note="requests/s through pgbouncer; / without it")
