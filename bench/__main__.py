"""`python -m bench [--quick]`: measure, print each row with its goal, keep them in .data/bench.json."""

import argparse
from pathlib import Path

from app.settings import Settings
from bench import service
from bench.reads import read_org
from bench.rows import report


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="What the service costs, as ratios.")
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    options = parser.parse_args()
    with service.running() as measured:
        rows = [read_org(measured, seconds=1.5 if options.quick else 5.0)]
    report(rows, Path(Settings().data_dir) / "bench.json")


if __name__ == "__main__":
    main()
