"""`python -m bench`: measure, print each row with its goal, keep them in .data/bench.json."""

import argparse
import signal
from pathlib import Path

from app.settings import Settings
from bench import service
from bench.reads import read_org, read_overview
from bench.rows import HEAD, keep
from bench.service import Scale


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="What the service costs, as ratios.")
    parser.add_argument("--quick", action="store_true", help="at 1/50 of the scale")
    parser.add_argument("--tree", type=Path, metavar="FILE", help="the orgs of this divisions.csv.gz")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the world there; use it again the same day")
    parser.add_argument("--serve", action="store_true", help="only keep the world and the service up, until Ctrl-C")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="only these rows")
    options = parser.parse_args()
    scale = Scale(50, 1.0, 3, options.tree) if options.quick else Scale(1, 4.0, 5, options.tree)
    with service.running(scale, options.keep) as measured:
        if options.serve:
            serve(measured)
            return
        print(HEAD)
        rows = []
        for measure in (read_org, read_overview):
            if not options.only or measure.__name__ in options.only:
                rows.append(measure(measured))
                print(rows[-1], flush=True)
    keep(rows, Path(Settings().data_dir) / "bench.json")


def serve(measured: service.Measured) -> None:
    """Say how to measure by hand, and wait for Ctrl-C."""
    world = measured.world
    print(f"\n{world.orgs:,} orgs, {world.members:,} member rows\n  database   {measured.superuser_url}")
    print(f"  service    {measured.ours}\n  reference  {measured.reference}")
    orgs = {"root": world.root, "county": world.county} | {f"group of {n:,}": org for n, org in world.groups.items()}
    for name, org in orgs.items():
        bearer = measured.sign_in(measured.main_admin(org))["Authorization"]
        print(f"  {name}: {org}\n    its main admin, for ten minutes: -H 'Authorization: {bearer}'")
    print("Ctrl-C ends it.", flush=True)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # both, also where a shell in the background ignores Ctrl-C
    signal.sigwait(ends)


if __name__ == "__main__":
    main()
