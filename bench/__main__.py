"""`python -m bench`: measure, print each row with its goal, and store the rows in .data/bench.json."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from app.core.calendar import today
from app.core.settings import Settings
from bench import service
from bench.django_peer import vs_django
from bench.events import totals_fresh
from bench.flat_reads import members_flat, overview_flat, overview_vs_recount, rank_flat
from bench.growth import GROWING, compare_growth
from bench.imports import import_100k
from bench.ingest import ingest, ingest_sustained
from bench.machine import describe_machine
from bench.memory import memory
from bench.pages import pages
from bench.pooler import pooled
from bench.reads import fast_path, read_org, read_overview
from bench.rollup import fold_small
from bench.rows import HEAD, Row, store, summarize
from bench.service import Measured, Scale
from bench.totals import recount_equal, totals_rebuild
from bench.transfers import move_50k, totals_fresh_transfer
from bench.waiting_consoles import qr_waiters
from bench.world import build_today
from bench.writes import write_member

Measure = Callable[[Measured], list[Row]]

# The order matters: measures that change much data come late, and the memory of the process last.
MEASURES: tuple[Measure, ...] = (
    read_org,
    read_overview,
    fast_path,
    pooled,
    vs_django,
    overview_flat,
    rank_flat,
    members_flat,
    pages,
    totals_rebuild,
    fold_small,
    write_member,
    move_50k,
    overview_vs_recount,
    import_100k,
    ingest,
    ingest_sustained,
    totals_fresh,
    totals_fresh_transfer,
    recount_equal,
    qr_waiters,
    memory,
)
WITH_WORKER = frozenset({import_100k, ingest, ingest_sustained, totals_fresh, totals_fresh_transfer, recount_equal})
"""Consecutive ones share one worker: its start takes as long as some of the measurements."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="What the service costs, as ratios.")
    parser.add_argument("--quick", action="store_true", help="at 1/50 of the scale")
    parser.add_argument("--tree", type=Path, metavar="FILE", help="the orgs of this divisions.csv.gz")
    parser.add_argument(
        "--keep", type=Path, metavar="DIRECTORY", help="keep the world there; use it again the same day"
    )
    parser.add_argument("--serve", action="store_true", help="only keep the world and the service up, until Ctrl-C")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="only these rows")
    parser.add_argument("--grow", action="store_true", help="how cost grows: at 1/50 of the scale, and at twice that")
    options = parser.parse_args()
    # A signal from outside still ends the processes that this one started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Ended."))
    path = Path(Settings().data_dir) / "bench.json"
    quick = Scale(50, 0.15, 3, options.tree)
    began = time.monotonic()
    if options.grow:
        rows, failed = _measure_growth(quick)
        store(rows, failed, path)
    else:
        scale = quick if options.quick else Scale(1, 2.0, 5, options.tree)
        with service.run_service(scale, options.keep) as measured:
            if options.serve:
                serve(measured)
                return
            measures = [measure for measure in MEASURES if not options.only or measure.__name__ in options.only]
            rows, failed = _measure(measured, measures, path)
    print(f"\n{summarize(rows, failed)} {time.monotonic() - began:.0f} s.", flush=True)
    if failed:
        sys.exit(f"Not measured: {', '.join(failed)}.")


def _measure(measured: Measured, measures: Sequence[Measure], path: Path | None = None) -> tuple[list[Row], list[str]]:
    """Run the measurements in their order and print each row. Return the rows, and the names of the measurements that
    failed. With `path`, the rows are stored there as JSON."""
    print(describe_machine(measured), HEAD, sep="\n", flush=True)
    rows: list[Row] = []
    failed: list[str] = []
    with ExitStack() as worker:
        for measure in measures:
            try:
                if measure not in WITH_WORKER:
                    worker.close()
                elif "worker" not in measured.pids:
                    worker.enter_context(measured.run_worker())
                if today() != measured.day:
                    asyncio.run(build_today(measured.url))
                found = measure(measured)
            except Exception as error:  # the other measurements continue
                print(f"{measure.__name__:<24}could not be measured: {error!r}"[:300], flush=True)
                failed.append(measure.__name__)
                found = []
            rows += found
            print(*found, sep="\n", end="\n" if found else "", flush=True)
            if path:
                store(rows, failed, path)  # after each one, so that an interrupted run keeps its rows
    return rows, failed


def _measure_growth(single: Scale) -> tuple[list[Row], list[str]]:
    """Run the measurements of GROWING over a world and over one of twice its size. Return rows with their ratios, and
    the names of the measurements that failed."""
    found, failed = [], []
    for scale in (single, replace(single, divisor=single.divisor // 2)):
        with service.run_service(scale) as measured:
            rows, missing = _measure(measured, GROWING)
        found.append(rows)
        failed += missing
    rows = [] if failed else compare_growth(*found)
    print(*rows, sep="\n", flush=True)
    return rows, failed


def serve(measured: service.Measured) -> None:
    """Print the addresses and a token for measuring by hand, and wait for Ctrl-C."""
    world = measured.world
    print(f"\n{world.orgs:,} orgs, {world.members:,} member rows\n  database   {measured.superuser_url}")
    print(f"  service    {measured.ours}\n  reference  {measured.reference}")
    orgs = {"root": world.root, "county": world.county} | {f"group of {n:,}": org for n, org in world.groups.items()}
    for name, org in orgs.items():
        bearer = measured.sign_in(measured.find_main_admin(org))["Authorization"]
        print(f"  {name}: {org}\n    its main admin, for ten minutes: -H 'Authorization: {bearer}'")
    print("Ctrl-C ends it.", flush=True)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # both signals, because a shell in the background can ignore Ctrl-C
    signal.sigwait(ends)


if __name__ == "__main__":
    main()
